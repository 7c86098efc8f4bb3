//! A summary as a mail: plain text and HTML, everything of others escaped, nothing loaded from afar.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use sha2::{Digest, Sha256};
use url::Host;

use crate::channels::Message;
use crate::channels::summary::{Link, Row, Summary, line};

/// A subject that mail programs show whole, more or less.
const SUBJECT_CHARS_MAX: usize = 150;

/// The mail for one recipient, ready to be sent. The same event, replay and recipient give the same
/// `Message-ID`, so that a mail that arrives twice can be told as one.
pub(super) fn mail(summary: &Summary, message: &Message, from: &Mailbox, to: &Mailbox) -> Vec<u8> {
    let domain = Host::parse(from.email.domain()).map_or_else(|_| "localhost".to_owned(), |host| host.to_string());
    let replay = message.replay_id.as_deref().unwrap_or_default();
    let id = format!("<{}@{domain}>", digest(&["message", &message.event_id, replay, AsRef::<str>::as_ref(&to.email)]));
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(message.now.0.max(0).unsigned_abs());
    let mut builder = lettre::Message::builder()
        .from(from.clone())
        .to(to.clone())
        .date(at)
        .subject(subject(summary))
        .message_id(Some(id))
        // RFC 3834: keeps vacation notices and other machines from answering.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Auto-Response-Suppress", "All"));
    if let Some((source, task_id)) = &summary.thread {
        // No mail has this id: it only has to be the same in all mails of a task, whichever is first.
        let thread = format!("<{}@{domain}>", digest(&["thread", source, task_id]));
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let parts = MultiPart::alternative_plain_html(plain(summary), html(summary));
    builder.multipart(parts).expect("a sender and a recipient are set, more is not asked").formatted()
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// 128 bits in hex: nothing of what went in can break a header.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn subject(summary: &Summary) -> String {
    let about = summary.thread.as_ref().map(|(_, task_id)| format!(" ({task_id})")).unwrap_or_default();
    // ASCII is written as it is, and `=?` would begin an encoded word (RFC 2047) of the provider's.
    line(&format!("{}{about}", summary.title).replace("=?", "= ?"), SUBJECT_CHARS_MAX)
}

fn plain(summary: &Summary) -> String {
    let mut text = format!("{}\n", summary.title);
    let section = |text: &mut String, title: &str, rows: &[Row]| {
        if !rows.is_empty() {
            let _ = write!(text, "\n{title}");
            rows.iter().for_each(|row| text.push_str(&format!("{}: {}\n", row.label, row.value)));
        }
    };
    section(&mut text, "", &summary.rows);
    if let Some(error) = &summary.error {
        // Set in, so that its lines cannot pass for ours.
        let _ = write!(text, "\n    {}\n", error.replace('\n', "\n    "));
    }
    if !summary.links.is_empty() {
        text.push_str("\nOutputs\n");
        for link in &summary.links {
            let note = link.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
            let url = link.url.as_ref().map(|url| format!("\n  {url}")).unwrap_or_default();
            let _ = writeln!(text, "- {}{note}{url}", link.label);
        }
        let _ = write!(text, "{}", more(summary, "\n"));
    }
    section(&mut text, "Metadata\n", &summary.metadata);
    section(&mut text, "", &summary.origin);
    text
}

fn more(summary: &Summary, end: &str) -> String {
    if summary.more_links == 0 { String::new() } else { format!("… and {} more{end}", summary.more_links) }
}

fn html(summary: &Summary) -> String {
    let mut html = format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head>\
         <body style=\"font-family:sans-serif;font-size:14px;color:#222\"><h2 style=\"font-size:18px\">{}</h2>",
        escape(&summary.title)
    );
    html.push_str(&table(&summary.rows));
    if let Some(error) = &summary.error {
        let _ = write!(
            html,
            "<pre style=\"white-space:pre-wrap;border-left:3px solid #c33;padding-left:8px\">{}</pre>",
            escape(error)
        );
    }
    if !summary.links.is_empty() {
        html.push_str("<ul>");
        summary.links.iter().for_each(|link| html.push_str(&item(link)));
        let _ = write!(html, "</ul>{}", more(summary, ""));
    }
    if !summary.metadata.is_empty() {
        let _ = write!(html, "<h3 style=\"font-size:14px\">Metadata</h3>{}", table(&summary.metadata));
    }
    let _ = write!(html, "<hr>{}</body></html>", table(&summary.origin));
    html
}

fn table(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let (label, value) = (escape(&row.label), escape(&row.value));
        format!("<tr><td style=\"color:#666;padding-right:12px\">{label}</td><td>{value}</td></tr>")
    };
    format!("<table>{}</table>", rows.iter().map(row).collect::<String>())
}

fn item(link: &Link) -> String {
    let label = escape(&link.label);
    let shown = match &link.url {
        Some(url) => format!("<a href=\"{}\" rel=\"noreferrer noopener\">{label}</a>", escape(url.as_str())),
        None => label,
    };
    let note = link.note.as_deref().map(|note| format!(", {}", escape(note))).unwrap_or_default();
    format!("<li>{shown}{note}</li>")
}

/// Text as it may stand in HTML, within quotes too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
