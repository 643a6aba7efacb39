//! What a program imports from files beside it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use heartbeat_core::SensorError;

use super::{
    Binding, Program, Sysroot, read,
    tokens::{self, Token},
};

/// Files that a program imports and that are read.
const MODULES_MAX: usize = 16;

impl Program {
    /// Reads a program without what it imports.
    pub(in crate::takeover) fn parse(source: &str) -> Self {
        Self {
            statements: tokens::statements(source),
            modules: BTreeMap::new(),
            unread: BTreeSet::new(),
            steps: Cell::new(0),
        }
    }

    /// Reads a program, and the files beside it that it imports. What those import is not read, but whether it is there
    /// is known.
    ///
    /// # Errors
    ///
    /// What the system says of the program's own file.
    pub(in super::super) fn load(root: &Sysroot, file: &Path) -> Result<Self, SensorError> {
        let mut program = Self::parse(&read(root, file)?);
        let directory = file.parent().unwrap_or(Path::new("/"));
        for name in program.imported() {
            let file = directory.join(format!("{name}.py"));
            // Python takes a package before a file of the same name. What stands in a package is not read.
            let is_single = !name.contains('.') && !is_package(root, directory, &name);
            let is_wanted = is_single && program.modules.len() < MODULES_MAX;
            if let Some(source) = is_wanted.then(|| read(root, &file).ok()).flatten() {
                let mut module = Self::parse(&source);
                module.unread =
                    module.imported().into_iter().filter(|name| is_beside(root, directory, name)).collect();
                program.modules.insert(name, (file, module));
            } else if is_beside(root, directory, &name) {
                program.unread.insert(name);
            }
        }
        Ok(program)
    }

    /// The modules that it imports, each once.
    fn imported(&self) -> BTreeSet<String> {
        self.statements.iter().flat_map(|statement| imported(&statement.tokens)).collect()
    }

    /// `from MODULE import *`, if that can give the name a value: the module has the name, or is there and was not read.
    /// One that is not there is installed elsewhere, and knows nothing of the settings of this program.
    pub(super) fn star_import<'t>(&self, tokens: &'t [Token], name: &str) -> Option<Binding<'t>> {
        let start = import_start(tokens)?;
        let [from, module @ .., import, star] = tokens.get(start..)? else { return None };
        if from.spelling() != "from" || import.spelling() != "import" || !star.is("*") {
            return None;
        }
        let file = module_name(module);
        if let Some((_, program)) = file.and_then(|file| self.modules.get(file)) {
            // Behind `try:` in the same line it may not be executed.
            return (!program.bindings(name).is_empty())
                .then_some(Binding::Star(file.filter(|_| start == 0)));
        }
        let is_relative = module.first().is_some_and(|first| first.is("."));
        (is_relative || self.unread.contains(&spelled(module))).then_some(Binding::Star(None))
    }
}

/// Whether a module is beside the program, read or not.
fn is_beside(root: &Sysroot, directory: &Path, name: &str) -> bool {
    root.exists(directory.join(format!("{}.py", name.replace('.', "/")))) || is_package(root, directory, name)
}

fn is_package(root: &Sysroot, directory: &Path, name: &str) -> bool {
    root.exists(directory.join(name.replace('.', "/")).join("__init__.py"))
}

/// The name of a module with its dots.
fn spelled(tokens: &[Token]) -> String {
    tokens.iter().map(Token::spelling).collect()
}

/// Where in a statement an import begins: not at its start in `try: from config import URL`.
fn import_start(tokens: &[Token]) -> Option<usize> {
    tokens.iter().position(|token| ["from", "import"].contains(&token.spelling()))
}

/// The module of `from MODULE import`, also of one with a dot before it, which is beside the program as well.
fn module_name(tokens: &[Token]) -> Option<&str> {
    match tokens {
        [Token::Name(module)] => Some(module),
        [dot, Token::Name(module)] if dot.is(".") => Some(module),
        _ => None,
    }
}

/// The modules that a statement imports.
fn imported(tokens: &[Token]) -> Vec<String> {
    let Some(tokens) = import_start(tokens).and_then(|start| tokens.get(start..)) else { return Vec::new() };
    match tokens.first().map(Token::spelling) {
        Some("from") => {
            let import = tokens.iter().position(|token| token.spelling() == "import");
            let module = import.and_then(|import| tokens.get(1..import));
            let name =
                module.map(|module| module_name(module).map_or_else(|| spelled(module), str::to_owned));
            // Other relative ones are never read, and never ignored.
            name.filter(|name| !name.starts_with('.')).into_iter().collect()
        }
        // `import a, b`: of `import a.b`, both names, of which nothing is taken.
        _ => {
            let names = tokens.iter().skip(1).filter_map(|token| match token {
                Token::Name(name) => Some(name.clone()),
                _ => None,
            });
            names.collect()
        }
    }
}

/// `from MODULE import ..., NAME, ... as NAME`, if that gives the name a value.
pub(super) fn import_of<'t>(tokens: &'t [Token], name: &str) -> Option<Binding<'t>> {
    let start = import_start(tokens)?;
    let [from, rest @ ..] = tokens.get(start..)? else { return None };
    let import =
        rest.iter().position(|token| token.spelling() == "import").filter(|_| from.spelling() == "from")?;
    let names = rest.get(import + 1..)?;
    let entries = names.split(|token| token.is(",")).map(|entry| {
        entry.iter().filter(|token| !token.is("(") && !token.is(")")).map(Token::spelling).collect::<Vec<_>>()
    });
    let original = entries.into_iter().find_map(|entry| match entry.as_slice() {
        [own] if *own == name => Some(*own),
        [original, "as", own] if *own == name => Some(*original),
        _ => None,
    })?;
    Some(match module_name(rest.get(..import)?) {
        // Behind `try:` in the same line it may not be executed.
        Some(module) if start == 0 => Binding::Import { module, name: original },
        _ => Binding::Unknown,
    })
}
