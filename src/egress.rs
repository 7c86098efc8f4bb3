//! The one door out: every outbound byte goes through here.

/// The outbound client.
#[derive(Clone, Debug)]
pub struct Egress;
