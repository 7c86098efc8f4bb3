//! `callboard keys`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::client::Query;
use super::list::{Listing, Paging, print_one};
use super::reach::Reach;
use super::table::{Column, age, cell, fields};
use super::{Done, Failure, console, rotate};
use crate::config::Env;
use crate::config::value::positive;
use crate::domain::access::Role;
use crate::domain::clock::{Clock, SystemClock};

/// Make, list and revoke API keys; change the key that seals secrets
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  callboard keys create --name ci --role read --team ads --expires-in 90d\n  callboard keys list\n  callboard keys revoke key_0199…"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    reach: Reach,
}

#[derive(clap::Subcommand)]
enum What {
    /// Make a key. It is shown once, and kept as a hash only
    #[command(
        after_help = "Example:\n  callboard keys create --name ads-ci --role manage --team ads --expires-in 90d\n\nRoles: `admin` may do everything; of one team, `manage` changes its destinations, subscriptions and keys, `read` reads,\n`relay` submits tasks and nothing else. A program reads the key with --json; without it a terminal is needed."
    )]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::as_str)))]
        role: String,
        /// The team that it is for [default: that of the key in use]; the role admin has none
        #[arg(long)]
        team: Option<String>,
        /// When it ends, from now [default: never]
        #[arg(long, value_name = "DURATION", value_parser = positive)]
        expires_in: Option<std::time::Duration>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List them, without what they are
    #[command(after_help = "Example:\n  callboard keys list")]
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one, without what it is
    #[command(after_help = "Example:\n  callboard keys show key_0199…")]
    Show {
        /// The key's id
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Seal every secret in the database anew with a new key
    #[command(
        after_help = "Example:\n  callboard keys rotate-secrets\n\nIt works on the database of the configuration here. With SQLite stop the service first: a new key is made in\ncallboard.secrets. With CALLBOARD_SECRETS_KEY put a new key before the old one (NEW,OLD), start every instance with both,\nrun this, then take the old one out."
    )]
    RotateSecrets,
    /// End a key at once
    #[command(after_help = "Example:\n  callboard keys revoke key_0199…")]
    Revoke {
        /// The key's id
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    Column::whole("KEY", |key, _| cell(key, "/id")),
    Column::new("NAME", |key, _| cell(key, "/name")),
    Column::whole("ROLE", |key, _| cell(key, "/role")),
    Column::new("TEAM", |key, _| cell(key, "/team")),
    Column::whole("AGE", |key, now| age(key, "/created_at", now)),
    Column::whole("USED", |key, now| age(key, "/last_used_at", now)),
    Column::whole("EXPIRES", |key, now| age(key, "/expires_at", now)),
    Column::whole("REVOKED", |key, now| age(key, "/revoked_at", now)),
];

pub(super) async fn run(arguments: Arguments, file: Option<PathBuf>, env: &Env) -> Done {
    match arguments.what {
        What::Create { name, role, team, expires_in, json } => {
            if !json && !console::is_terminal() {
                let text = "a key is shown to a terminal only: --json gives it to a program. None was made";
                return Err(Failure::Wrong(text.to_owned()));
            }
            let client = arguments.reach.client(file, env)?;
            let mut body = json!({"name": name, "role": role});
            if let Some(team) = team {
                body["team"] = Value::String(team);
            }
            if let Some(wait) = expires_in {
                body["expires_at"] = Value::String(SystemClock.now().after(wait).to_string());
            }
            let text = client.post(&["keys"], &body).await?;
            print_one(&text, json, |text| {
                let key: Value = client.read(text).unwrap_or_default();
                format!(
                    "{}\n\n{}\n\nThis is the only time that it is shown.",
                    fields(text, &["key"]),
                    cell(&key, "/key")
                )
            });
        }
        What::List { paging } => {
            let client = arguments.reach.client(file, env)?;
            let listing = Listing { path: &["keys"], query: Query::new(), columns: COLUMNS };
            listing.print(&client, &paging).await?;
        }
        What::Show { id, json } => {
            let text = arguments.reach.client(file, env)?.get(&["keys", &id], &Query::new()).await?;
            print_one(&text, json, |text| fields(text, &[]));
        }
        What::RotateSecrets => rotate::run(file, env).await?,
        What::Revoke { id } => {
            arguments.reach.client(file, env)?.delete(&["keys", &id]).await?;
            console::say(&format!("{id} is revoked"));
        }
    }
    Ok(())
}
