//! A page that is made of blocks: tables, pairs, forms, codes to copy. What is set up and what is done is shown by it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::sheet::{Kind, Sheet};
use super::text::Text;
use super::visit::{Frame, Here, Visit, html};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;

/// What stands in one place of a table.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Nothing.
    Nothing,
    /// A text.
    Text(String),
    /// A name, an id, an expression.
    Code(String),
    /// What is copied as a whole, and what is shown of it.
    Copy(String, String),
    /// A word of ours, in its colour.
    Word(String),
    /// A moment.
    When(Timestamp),
    /// Some words beside each other.
    Chips(Vec<String>),
    /// Another page.
    Link(String, String),
    /// What is wrong.
    Bad(String),
    /// What can be done.
    Acts(Vec<Act>),
}

impl Cell {
    /// A text, or nothing.
    pub(super) fn text(text: Option<impl Into<String>>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.into()))
    }

    /// Whether nothing stands there.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// A moment, or nothing.
    pub(super) fn when(at: Option<Timestamp>) -> Self {
        at.map_or(Self::Nothing, Self::When)
    }
}

/// Something that can be done: a link, or a form that is one button.
#[derive(Clone, Debug)]
pub(super) struct Act {
    /// Where it leads.
    pub(super) to: String,
    /// What it is called.
    pub(super) label: String,
    /// What it sends; `None` for a link.
    pub(super) sends: Option<Vec<(String, String)>>,
    /// What it will do, where that is asked before.
    pub(super) confirm: Option<String>,
    /// Whether something is lost by it.
    pub(super) is_grave: bool,
    /// Whether it is what one came for.
    pub(super) is_chief: bool,
}

impl Act {
    /// A link.
    pub(super) fn go(to: impl Into<String>, label: Text) -> Self {
        Self { to: to.into(), label: label.to_string(), sends: None, confirm: None, is_grave: false, is_chief: false }
    }

    /// A button.
    pub(super) fn press(to: impl Into<String>, label: Text) -> Self {
        Self { sends: Some(Vec::new()), ..Self::go(to, label) }
    }

    /// The same, which first says what it will do.
    pub(super) fn asking(self, what: impl ToString) -> Self {
        Self { confirm: Some(what.to_string()), ..self }
    }

    /// The same, by which something is lost.
    pub(super) fn grave(self) -> Self {
        Self { is_grave: true, ..self }
    }

    /// The same, which is what one came for.
    pub(super) fn chief(self) -> Self {
        Self { is_chief: true, ..self }
    }

    /// The same, which sends this too.
    pub(super) fn sending(mut self, name: &str, value: impl Into<String>) -> Self {
        self.sends.get_or_insert_default().push((name.to_owned(), value.into()));
        self
    }
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Where the whole row leads, by its first place.
    pub(super) to: Option<String>,
    /// What stands in it.
    pub(super) cells: Vec<Cell>,
}

/// A form within a page.
pub(super) struct Filled {
    /// Where it is sent.
    pub(super) to: String,
    /// Whether it only asks for a page.
    pub(super) is_question: bool,
    /// Its fields.
    pub(super) sheet: Sheet,
    /// What it is sent by: the value of `do`, and what stands there. The first is the chief one.
    pub(super) buttons: Vec<(&'static str, Text)>,
}

/// A part of a page.
pub(super) enum Block {
    /// Rows.
    Table(Option<Text>, Vec<Text>, Vec<Row>),
    /// Names and what they stand for.
    Pairs(Option<Text>, Vec<(Text, Cell)>),
    /// A form.
    Form(Option<Text>, Option<String>, Filled),
    /// What a list is filtered by.
    Filter(Filled),
    /// Something to copy.
    Code(Option<Text>, Option<Text>, String),
    /// A sentence.
    Note(String),
    /// How far something is: of how many, how many.
    Progress(Text, u64, u64),
    /// Nothing is there: what to do next, and a command for it.
    Empty(Text, Text, Option<String>),
    /// The way to older rows, and to the newest.
    Pages(Option<String>, Option<String>),
}

/// What was just done, or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    /// In words.
    pub(super) text: String,
    /// Whether it went wrong.
    pub(super) is_bad: bool,
    /// What is shown this once.
    pub(super) code: Option<String>,
    /// What takes it back.
    pub(super) undo: Option<Act>,
}

impl Said {
    /// That it is done.
    pub(super) fn done(text: impl ToString) -> Self {
        Self { text: text.to_string(), ..Self::default() }
    }
}

/// A place within the settings.
pub(super) struct Tab {
    /// Where it leads.
    pub(super) to: &'static str,
    /// What it is called.
    pub(super) label: Text,
    /// Whether the page is there.
    pub(super) is_here: bool,
}

/// The whole page.
#[derive(Template)]
#[template(path = "board.html")]
pub(super) struct Board {
    frame: Frame,
    tabs: Vec<Tab>,
    title: String,
    /// How it fares, beside its title.
    badge: Option<String>,
    about: Option<String>,
    acts: Vec<Act>,
    said: Option<Said>,
    blocks: Vec<Block>,
    /// Whether it is loaded again by itself.
    is_moving: bool,
}

impl Board {
    /// An empty one at this place of the navigation.
    pub(super) fn new(visit: &Visit, here: Here, title: impl ToString) -> Self {
        Self {
            frame: visit.frame(here),
            tabs: Vec::new(),
            title: title.to_string(),
            badge: None,
            about: None,
            acts: Vec::new(),
            said: None,
            blocks: Vec::new(),
            is_moving: false,
        }
    }

    /// One of the settings, below the tab that leads there.
    pub(super) fn settings(visit: &Visit, tab: &str, title: impl ToString) -> Self {
        let t = &visit.texts().settings;
        let all = [
            ("/ui/sources", t.sources, Right::Read),
            ("/ui/destinations", t.destinations, Right::Read),
            ("/ui/subscriptions", t.subscriptions, Right::Read),
            ("/ui/teams", t.teams, Right::Read),
            ("/ui/keys", t.keys, Right::Manage),
            ("/ui/audit", t.audit, Right::Manage),
        ];
        let seen = all.into_iter().filter(|(.., right)| visit.may(*right));
        let tabs = seen.map(|(to, label, _)| Tab { to, label, is_here: to == tab }).collect();
        Self { tabs, ..Self::new(visit, Here::Settings, title) }
    }

    /// With a word beside the title.
    pub(super) fn badge(self, word: impl Into<String>) -> Self {
        Self { badge: Some(word.into()), ..self }
    }

    /// With a sentence below the title.
    pub(super) fn about(self, about: impl ToString) -> Self {
        Self { about: Some(about.to_string()), ..self }
    }

    /// With what can be done, if the visitor may.
    pub(super) fn act(mut self, may: bool, act: Act) -> Self {
        if may {
            self.acts.push(act);
        }
        self
    }

    /// With what was just done.
    pub(super) fn said(self, said: Option<Said>) -> Self {
        Self { said, ..self }
    }

    /// With one more block.
    pub(super) fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Loaded again by itself, if what it shows goes on.
    pub(super) fn moving(self, is_moving: bool) -> Self {
        Self { is_moving, ..self }
    }

    /// What a column is called, which narrow pages say in each row.
    pub(super) fn label(head: &[Text], at: &usize) -> &'static str {
        head.get(*at).map_or("", |label| label.as_str())
    }

    /// As it is answered.
    pub(super) fn answer(&self, status: StatusCode) -> HttpResponse {
        html(status, self)
    }

    /// The same, with nothing gone wrong.
    pub(super) fn ok(&self) -> super::Page {
        Ok(self.answer(StatusCode::OK))
    }
}
