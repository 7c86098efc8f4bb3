//! The audit log.

use super::super::api::{audit as api, list};
use super::Page;
use super::board::{Block, Board, Cell, Filled, Row};
use super::sheet::{Field, Kind, Sheet};
use super::visit::Visit;
use crate::store::AuditRow;

const TAB: &str = "/ui/audit";

/// Lists it.
pub(super) async fn show(visit: &Visit) -> Page {
    let (t, s) = (&visit.texts().audit, &visit.texts().settings);
    let asked = visit.asked("audit", &api::FILTERS)?;
    let filter = api::filter(&asked.query, visit.caller.team.clone())?;
    let page = visit.services.store.read().await?.audited(&filter).await?;
    let rows: Vec<Row> = page.items.iter().map(row).collect();
    let sheet = Sheet::of([
        Field::new("action", t.what, Kind::Text).example(t.action_hint.as_str()).with(asked.value("action")),
        Field::new("object", t.object, Kind::Text).with(asked.value("object")),
    ]);
    let form = Filled { to: TAB.to_owned(), is_question: true, sheet, buttons: vec![("", t.filter)] };
    let board = Board::settings(visit, TAB, s.audit).about(t.about).block(Block::Filter(form));
    if rows.is_empty() {
        return board.block(Block::Empty(t.none, t.none_more, None)).ok();
    }
    let older = list::next(&page, "audit", &visit.roster.url_key).map(|cursor| asked.from(&cursor));
    let newest = (!asked.is_newest()).then(|| asked.newest());
    let head = vec![t.what, t.object, t.who, s.team, t.detail, t.at];
    board.block(Block::Table(None, head, rows)).block(Block::Pages(newest, older)).ok()
}

fn row(row: &AuditRow) -> Row {
    Row {
        to: None,
        cells: vec![
            Cell::Text(row.action.clone()),
            Cell::Code(row.object.clone()),
            Cell::Text(row.by.key_name.clone()),
            Cell::text(row.by.team.as_deref()),
            row.detail.as_ref().map_or(Cell::Nothing, |detail| Cell::Code(detail.to_string())),
            Cell::When(row.at),
        ],
    }
}
