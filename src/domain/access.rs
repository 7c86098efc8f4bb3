//! Who may do what: roles, what each may do, and what a caller's key may see.

use std::collections::BTreeSet;

/// What a key is for (contract §6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Everything, of every team.
    Admin,
    /// One team: its destinations, subscriptions, keys, replays.
    Manage,
    /// One team: looking.
    Read,
    /// One team: relaying and registering tasks, and nothing else.
    Relay,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Manage, Self::Read, Self::Relay];

    /// The word for it, the same everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manage => "manage",
            Self::Read => "read",
            Self::Relay => "relay",
        }
    }

    /// Reads the word back. `None` if there is no such role.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether a key of this role has a right; what it may then see or change is its [`Scope`].
    pub fn has(self, right: Right) -> bool {
        match right {
            Right::Read => self != Self::Relay,
            Right::Manage => matches!(self, Self::Admin | Self::Manage),
            Right::Submit => self != Self::Read,
            Right::Administer => self == Self::Admin,
        }
    }
}

/// What a request needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// To look.
    Read,
    /// To change what belongs to a team, and to replay, retry and read again.
    Manage,
    /// To relay a request, or to register a task.
    Submit,
    /// To change what belongs to all: sources and teams.
    Administer,
}

/// What a caller may see. The rest does not exist for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everything.
    All,
    /// What one team may see.
    Team(TeamScope),
}

/// What one team may see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TeamScope {
    /// The team.
    pub team: String,
    /// The sources that are granted to it.
    pub sources: BTreeSet<String>,
    /// Its own destinations.
    pub destinations: BTreeSet<String>,
}

impl Scope {
    /// Whether a source, its tasks, callbacks and events are there for the caller.
    pub fn sees_source(&self, name: &str) -> bool {
        self.team_scope().is_none_or(|team| team.sources.contains(name))
    }

    /// Whether a destination and its deliveries are there for the caller.
    pub fn sees_destination(&self, name: &str) -> bool {
        self.team_scope().is_none_or(|team| team.destinations.contains(name))
    }

    /// Whether a team is there for the caller.
    pub fn sees_team(&self, name: &str) -> bool {
        self.team_scope().is_none_or(|team| team.team == name)
    }

    /// The caller's team; `None` who sees everything.
    pub fn team(&self) -> Option<&str> {
        self.team_scope().map(|team| team.team.as_str())
    }

    /// What the caller's team sees; `None` who sees everything.
    pub fn team_scope(&self) -> Option<&TeamScope> {
        match self {
            Self::All => None,
            Self::Team(team) => Some(team),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_rights_and_no_more() {
        use Right::{Administer, Manage, Read, Submit};
        for (role, rights) in [
            (Role::Admin, vec![Read, Manage, Submit, Administer]),
            (Role::Manage, vec![Read, Manage, Submit]),
            (Role::Read, vec![Read]),
            (Role::Relay, vec![Submit]),
        ] {
            for right in [Read, Manage, Submit, Administer] {
                assert_eq!(role.has(right), rights.contains(&right), "{role:?} {right:?}");
            }
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
    }

    #[test]
    fn a_team_sees_what_is_its_own_and_what_was_granted() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let team = TeamScope { team: "ads".into(), sources: names(&["evolink"]), destinations: names(&["ads-slack"]) };
        let scope = Scope::Team(team);
        assert!(scope.sees_source("evolink") && scope.sees_destination("ads-slack") && scope.sees_team("ads"));
        assert!(!scope.sees_source("other") && !scope.sees_destination("ops-mail") && !scope.sees_team("ops"));
        assert!(Scope::All.sees_source("other") && Scope::All.sees_team("ops") && Scope::All.team().is_none());
    }
}
