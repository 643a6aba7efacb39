//! One logging layer: each macro expands to `log`, to `defmt`, to both, or to nothing.
//!
//! Arguments need `Display` or `Debug` for `log` and `defmt::Format` for `defmt`; only `{}` and `{:?}` mean the
//! same to both, so nothing else is used. There is no `compile_error!` for "both": `--all-features` must build.

macro_rules! define_level {
    ($name:ident, $level:ident, $dollar:tt) => {
        macro_rules! $name {
                                    ($dollar fmt:literal $dollar(, $dollar arg:expr)* $dollar(,)?) => {{
                                        #[cfg(feature = "log")]
                                        ::log::$level!($dollar fmt $dollar(, $dollar arg)*);
                                        #[cfg(feature = "defmt")]
                                        ::defmt::$level!($dollar fmt $dollar(, $dollar arg)*);
                                        #[cfg(not(any(feature = "log", feature = "defmt")))]
                                        { let _ = ($dollar(&$dollar arg,)*); }
                                    }};
                                }
    };
}

define_level!(log_debug, debug, $);
define_level!(log_info, info, $);
define_level!(log_warn, warn, $);
