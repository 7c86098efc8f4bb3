//! Mail: one SMTP transaction for each recipient, so that one refused address costs nobody else the
//! mail, and a retry reaches only those who have not got it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use lettre::Address;
use lettre::message::Mailbox;

use super::summary::Summary;
use super::{Channel, Field, FieldKind, House, Invalid, Limits, Message, Sender, settings};
use crate::domain::delivery::{Outcome, RESPONSE_BYTES_MAX, Report};
use crate::domain::destination::Settings;
use crate::domain::pace::Rate;

mod compose;
mod mailer;
mod smtp_url;

pub use mailer::Mailer;

use mailer::{Fault, Trouble};

/// Mailboxes.
pub(super) struct Email;

const FIELDS: &[Field] = &[Field { name: "to", kind: FieldKind::Texts, required: true, secret: false }];

impl Channel for Email {
    fn name(&self) -> &'static str {
        "email"
    }

    fn about(&self) -> &'static str {
        "a mail to one or more addresses, through the server of `[email] smtp`"
    }

    fn fields(&self) -> &'static [Field] {
        FIELDS
    }

    /// Mail servers count connections: two, and ten mails a second, annoy none that we know of.
    fn limits(&self) -> Limits {
        Limits { rate: Some(Rate { count: 10, per: Duration::from_secs(1) }), concurrency: 2 }
    }

    fn parse(&self, settings: &Settings, house: &House) -> Result<Arc<dyn Sender>, Invalid> {
        let mut to: Vec<Mailbox> = Vec::new();
        for text in settings::texts(settings, "to")? {
            let mailbox = mailer::mailbox(text).map_err(|problem| settings::invalid("to", problem))?;
            if !to.iter().any(|known| known.email == mailbox.email) {
                to.push(mailbox);
            }
        }
        if to.is_empty() {
            return Err(settings::invalid("to", "is missing; write one address or a list of them"));
        }
        let mailer = house.mailer.clone().ok_or_else(|| {
            settings::invalid(
                "to",
                "`[email] smtp` is not configured, so no mail can be sent; set `smtp` and `from` there",
            )
        })?;
        Ok(Arc::new(Mailboxes { to, mailer }))
    }
}

struct Mailboxes {
    to: Vec<Mailbox>,
    mailer: Arc<Mailer>,
}

impl Sender for Mailboxes {
    fn target(&self) -> String {
        self.to.iter().map(|mailbox| mailbox.email.to_string()).collect::<Vec<_>>().join(", ")
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let mut course = Course { done: message.parts_done.clone(), ..Course::default() };
            let sending = self.send_to_all(message, &mut course);
            if tokio::time::timeout(message.timeout, sending).await.is_err() {
                course.stopped = Some(self.mailer.late(message.timeout));
            }
            course.report(&self.to)
        })
    }
}

impl Mailboxes {
    /// Goes through the recipients that have not got it; what happens is noted in `course` at once,
    /// since the deadline may end this at any point.
    async fn send_to_all(&self, message: &Message, course: &mut Course) {
        let open: Vec<&Mailbox> = self.to.iter().filter(|to| !course.has(&to.email)).collect();
        if open.is_empty() {
            return;
        }
        let summary = Summary::of(message);
        let mut connection = match self.mailer.connect().await {
            Ok(connection) => connection,
            Err(trouble) => return course.stopped = Some(trouble),
        };
        for to in open {
            let mail = compose::mail(&summary, message, self.mailer.from(), to);
            match connection.transmit(self.mailer.from(), &to.email, &mail).await {
                Ok(said) => course.delivered(&to.email, said),
                Err(trouble) if trouble.fault == Fault::Connection => {
                    course.stopped = Some(trouble);
                    return;
                }
                Err(trouble) => course.troubles.push((to.email.clone(), trouble)),
            }
        }
        connection.quit().await;
    }
}

/// How far a try has come.
#[derive(Default)]
struct Course {
    /// Addresses that have it, from this and earlier tries.
    done: Vec<String>,
    /// The server's last good answer.
    said: Option<(u16, String)>,
    /// Recipients that this try did not reach, with the reason.
    troubles: Vec<(Address, Trouble)>,
    /// What ended the try before all recipients had their turn.
    stopped: Option<Trouble>,
}

impl Course {
    fn has(&self, address: &Address) -> bool {
        self.done.iter().any(|done| done.as_str() == AsRef::<str>::as_ref(address))
    }

    fn delivered(&mut self, address: &Address, said: (u16, String)) {
        self.done.push(address.to_string());
        self.said = Some(said);
    }

    fn report(self, to: &[Mailbox]) -> Report {
        let missing = to.iter().filter(|mailbox| !self.has(&mailbox.email)).count();
        let refused = self.troubles.iter().filter(|(_, trouble)| trouble.fault == Fault::Recipient).count();
        let reason = || {
            let each = self.troubles.iter().map(|(address, trouble)| format!("{address}: {}", trouble.reason));
            let stopped = self.stopped.iter().map(|trouble| trouble.reason.clone());
            each.chain(stopped).collect::<Vec<_>>().join("; ")
        };
        let outcome = match missing {
            0 => Outcome::Delivered,
            _ if refused == missing => Outcome::Rejected { reason: format!("refused for good: {}", reason()) },
            _ => Outcome::Failed { reason: reason() },
        };
        let trouble = self.stopped.as_ref().or(self.troubles.last().map(|(_, trouble)| trouble));
        let (status_code, said) = match trouble.filter(|_| missing > 0) {
            Some(trouble) => (trouble.code, trouble.said.clone()),
            None => self.said.clone().map_or((None, String::new()), |(code, said)| (Some(code), said)),
        };
        let mut response = said.into_bytes();
        response.truncate(RESPONSE_BYTES_MAX);
        Report { outcome, status_code, response, parts_done: self.done }
    }
}
