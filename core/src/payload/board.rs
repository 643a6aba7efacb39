//! What the board is: not in every heartbeat, because it hardly ever changes.

use serde::Serialize;

use crate::{
    json_max::objects,
    limits::{MODEL_MAX, OS_MAX},
    readings::{self, Wear},
    text::Text,
};

/// What the board is, and what runs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Board<'a> {
    /// The model of the board.
    pub model: Option<&'a Text<MODEL_MAX>>,
    /// The system that runs on it, with its kernel.
    pub os: Option<&'a Text<OS_MAX>>,
    /// The wear of its storage.
    pub wear: Option<Wear>,
}

objects! { Board<'a> { model, os, wear } }

impl<'a> Board<'a> {
    /// What is known.
    pub(crate) fn of(board: &'a readings::Board) -> Self {
        Self { model: board.model.as_ref().ok(), os: board.os.as_ref().ok(), wear: board.wear.ok() }
    }
}
