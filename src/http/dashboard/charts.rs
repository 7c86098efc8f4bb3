//! Charts: what came of the tasks, from the same rollups as the API's statistics, drawn here without a script.

mod plot;

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::StatusCode;
use askama::Template;

use self::plot::{Chart, Series, Unit};
use super::Page;
use super::board::{Block, Board, Cell};
use super::destinations;
use super::query::Asked;
use super::text::Text;
use super::visit::{Frame, Here, Visit, html};
use crate::domain::clock::Timestamp;
use crate::domain::rollup::{Day, Rollup};
use crate::store::{StatsFilter, StatsRow};

const FILTERS: [&str; 3] = ["days", "source", "model"];
/// How many days can be chosen; the second is shown where nothing is.
const DAYS: [i64; 4] = [7, 30, 90, 365];
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// So many rows of sources, models and days are read for a page.
const ROWS_MAX: usize = 20_000;
/// So many models are compared.
const MODELS_SHOWN: usize = 12;

/// The page.
#[derive(Template)]
#[template(path = "charts.html")]
struct Charts {
    frame: Frame,
    asked: Asked,
    days: i64,
    sources: Vec<String>,
    models: Vec<String>,
    totals: Vec<(Text, String)>,
    charts: Vec<Chart>,
    /// What was left out, if there was too much.
    partial: Option<String>,
    /// How destinations fare, as a table.
    health: Block,
}

impl Charts {
    /// The ranges that are offered.
    fn ranges(&self) -> [i64; 4] {
        DAYS
    }
}

/// Shows them.
pub(super) async fn show(visit: &Visit) -> Page {
    let t = &visit.texts().charts;
    let asked = visit.asked("stats", &FILTERS)?;
    let days = asked.value("days").parse().ok().filter(|days| DAYS.contains(days)).unwrap_or(DAYS[1]);
    let until = Day::of(visit.now).next();
    let since = Day::of(Timestamp(visit.now.0.saturating_sub((days - 1) * DAY_MS).max(0)));
    let filter = StatsFilter {
        since,
        until,
        source: asked.query.text("source"),
        model: None,
        seen: visit.scope.team_scope().map(|team| team.sources.clone()),
        by_day: true,
        after: None,
        limit: ROWS_MAX,
    };
    let found = visit.services.store.read().await?.stats(&filter).await?;
    let models: BTreeSet<String> =
        found.items.iter().map(|row| row.model.clone()).filter(|one| !one.is_empty()).collect();
    let model = asked.query.text("model");
    let rows: Vec<StatsRow> =
        found.items.into_iter().filter(|row| model.as_ref().is_none_or(|model| row.model == *model)).collect();
    let every_day: Vec<Day> =
        std::iter::successors(Some(since), |day| Some(day.next())).take_while(|day| *day < until).collect();
    let page = Charts {
        frame: visit.frame(Here::Charts),
        totals: totals(visit, &rows),
        charts: if rows.is_empty() { Vec::new() } else { charts(visit, &rows, &every_day) },
        partial: found.next.map(|_| t.partial.with(ROWS_MAX)),
        health: Block::Table(None, destinations::head(visit), destinations::rows(visit).await?),
        sources: visit.sources(),
        models: models.into_iter().collect(),
        days,
        asked,
    };
    Ok(html(StatusCode::OK, &page))
}

fn sum<'a>(rows: impl Iterator<Item = &'a StatsRow>) -> Rollup {
    rows.fold(Rollup::default(), |mut all, row| {
        all.merge(&row.rollup);
        all
    })
}

fn totals(visit: &Visit, rows: &[StatsRow]) -> Vec<(Text, String)> {
    let t = &visit.texts().charts;
    let all = sum(rows.iter());
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| Unit::Share.label(share));
    vec![
        (t.ended, all.ended().to_string()),
        (t.total_success, share(all.success_rate())),
        (t.total_saved, share(all.needed_poll())),
        (t.spent, Unit::Number.label(all.credits())),
        (t.disputed, all.disputed.to_string()),
        (t.conflicts, all.conflicts.to_string()),
    ]
}

fn charts(visit: &Visit, rows: &[StatsRow], days: &[Day]) -> Vec<Chart> {
    let t = &visit.texts().charts;
    let mut by_day: BTreeMap<Day, Rollup> = days.iter().map(|day| (*day, Rollup::default())).collect();
    for row in rows {
        if let Some(rollup) = row.day.and_then(|day| by_day.get_mut(&day)) {
            rollup.merge(&row.rollup);
        }
    }
    let labels: Vec<String> = days.iter().map(Day::to_string).collect();
    let series = |label: Text, tone: &'static str, value: fn(&Rollup) -> Option<f64>| Series {
        label: label.to_string(),
        tone,
        values: by_day.values().map(value).collect(),
    };
    let millis = |found: Option<u64>| found.map(|millis| millis as f64);
    let percentile = |of: fn(&Rollup) -> Option<u64>| by_day.values().map(move |rollup| millis(of(rollup))).collect();
    vec![
        Chart::stacked(
            t.throughput,
            None,
            Unit::Number,
            labels.clone(),
            vec![
                series(t.completed, "good", |rollup| Some(rollup.completed as f64)),
                series(t.failed, "bad", |rollup| Some(rollup.failed as f64)),
                series(t.cancelled, "calm", |rollup| Some(rollup.cancelled as f64)),
            ],
        ),
        Chart::lines(
            t.success,
            Some(t.success_what),
            Unit::Share,
            labels.clone(),
            vec![series(t.share, "good", Rollup::success_rate)],
        ),
        generation(visit, rows),
        Chart::lines(
            t.delay,
            Some(t.delay_what),
            Unit::Millis,
            labels.clone(),
            vec![
                Series {
                    label: t.p50.to_string(),
                    tone: "busy",
                    values: percentile(|one| one.callback_delay.percentile(50)),
                },
                Series {
                    label: t.p95.to_string(),
                    tone: "warn",
                    values: percentile(|one| one.callback_delay.percentile(95)),
                },
            ],
        ),
        Chart::lines(
            t.saved,
            Some(t.saved_what),
            Unit::Share,
            labels.clone(),
            vec![series(t.share, "busy", Rollup::needed_poll)],
        ),
        Chart::stacked(
            t.credits,
            None,
            Unit::Number,
            labels,
            vec![series(t.spent, "busy", |rollup| Some(rollup.credits()))],
        ),
    ]
}

/// How long tasks take, by model: those with the most tasks.
fn generation(visit: &Visit, rows: &[StatsRow]) -> Chart {
    let t = &visit.texts().charts;
    let mut by_model: BTreeMap<&str, Rollup> = BTreeMap::new();
    for row in rows {
        by_model.entry(&row.model).or_default().merge(&row.rollup);
    }
    let mut all: Vec<(&str, Rollup)> = by_model.into_iter().filter(|(_, one)| one.generation.count() > 0).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse(one.generation.count()));
    all.truncate(MODELS_SHOWN);
    let values = |percent| all.iter().map(|(_, one)| one.generation.percentile(percent).map(|ms| ms as f64)).collect();
    let series = vec![
        Series { label: t.p50.to_string(), tone: "busy", values: values(50) },
        Series { label: t.p95.to_string(), tone: "warn", values: values(95) },
    ];
    let label = |model: &str| if model.is_empty() { "–".to_owned() } else { model.to_owned() };
    Chart::bars(t.generation, Unit::Millis, all.iter().map(|(model, _)| label(model)).collect(), series)
}
