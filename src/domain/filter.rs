//! `where`: what else must hold of an event, written in CEL.

/// A compiled `where`.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
}
