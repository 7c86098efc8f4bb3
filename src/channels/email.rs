//! Mail.

/// How mail leaves.
#[derive(Debug)]
pub struct Mailer;
