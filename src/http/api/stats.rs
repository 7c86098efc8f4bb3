//! Statistics: what came of the tasks of each source and model, by day if asked for.
//!
//! They are answered from rollups alone, never from the events themselves, and hold what was told up to a second or two ago.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{self, Query, invalid};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::domain::rollup::{Day, Histogram};
use crate::http::openapi::asked;
use crate::store::{StatsFilter, StatsRow};

/// So far back it looks where nothing is asked for: 30 days.
const SINCE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Statistics from one day to another.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub(in crate::http) struct StatsView<'a> {
    /// Where the first day begins.
    since: Timestamp,
    /// Where the last day ends.
    until: Timestamp,
    items: Vec<GroupView<'a>>,
    /// Asks for the next page; null at the end.
    next_cursor: Option<String>,
}

/// What came of the tasks of one source and model.
#[derive(Serialize, ToSchema)]
#[schema(as = StatsOfModel)]
pub(in crate::http) struct GroupView<'a> {
    source: &'a str,
    /// Null where the provider names none.
    model: Option<&'a str>,
    /// The day, as `2026-11-21`; null where days are not told apart.
    day: Option<String>,
    tasks: EndsView,
    /// The share of `completed` among those that completed or failed, 0 to 1; null where there are none.
    success_rate: Option<f64>,
    generation_ms: PercentilesView,
    /// From the provider's end of a task to our receipt.
    callback_delay_ms: PercentilesView,
    /// The share of ends that were learned by asking, 0 to 1; null without an end.
    needed_poll: Option<f64>,
    /// How many callbacks the provider denied.
    disputed: i64,
    /// How many contrary ends came.
    conflicts: i64,
    /// What they cost, in the provider's own credits.
    credits: f64,
}

/// How many tasks ended so.
#[derive(Serialize, ToSchema)]
#[schema(as = Ends)]
pub(in crate::http) struct EndsView {
    completed: i64,
    failed: i64,
    cancelled: i64,
}

/// Within how many milliseconds so many percent were; null where nothing is known.
#[derive(Serialize, ToSchema)]
#[schema(as = Percentiles)]
pub(in crate::http) struct PercentilesView {
    p50: Option<u64>,
    p95: Option<u64>,
}

/// Show statistics
///
/// What came of the tasks of each source and model, by day if asked for, as it was told up to a second or two ago.
#[utoipa::path(get, path = "/stats", security(("key" = ["read"])), params(asked::Numbers, asked::Paging), responses(
    (status = 200, description = "A page of them", body = StatsView),
))]
pub(super) async fn show(services: Data<Services>, request: HttpRequest) -> Answer {
    let caller = auth::caller(&request, &services, Right::Read).await?;
    let roster = services.roster.now();
    let filters = ["since", "until", "source", "model", "by"];
    let query = Query::read(request.query_string(), "stats", &filters, &roster.url_key)?;
    let (since, until) = days(&query, services.clock.now())?;
    let filter = StatsFilter {
        since,
        until,
        source: query.text("source"),
        model: query.text("model"),
        seen: caller.scope(&roster).team_scope().map(|team| team.sources.clone()),
        by_day: query.word("by", |word| (word == "day").then_some(()), &["day"])?.is_some(),
        after: query.before.clone(),
        limit: query.limit,
    };
    let page = services.store.read().await?.stats(&filter).await?;
    let next_cursor = list::next(&page, "stats", &roster.url_key);
    let items = page.items.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(StatsView { since: since.start(), until: until.start(), items, next_cursor }))
}

/// The first day and the day after the last: whole days, as far as either moment lies in one.
fn days(query: &Query, now: Timestamp) -> Result<(Day, Day), Problem> {
    let until = query.time("until")?;
    let end = until.unwrap_or(now);
    let since = query.time("since")?.unwrap_or(Timestamp(end.0.saturating_sub(SINCE_MS).max(0)));
    if since >= end && (until.is_some() || since > now) {
        return Err(invalid("since", format!("`{since}` is not before `{end}`, where the statistics end")));
    }
    let last = Day::of(end);
    // A day that ends where it was asked to end is the last; today always counts.
    let until = if until == Some(last.start()) { last } else { last.next() };
    Ok((Day::of(since), until))
}

fn view(row: &StatsRow) -> GroupView<'_> {
    let StatsRow { source, model, day, rollup } = row;
    GroupView {
        source,
        model: Some(model.as_str()).filter(|model| !model.is_empty()),
        day: day.map(|day| day.to_string()),
        tasks: EndsView { completed: rollup.completed, failed: rollup.failed, cancelled: rollup.cancelled },
        success_rate: rollup.success_rate(),
        generation_ms: percentiles(&rollup.generation),
        callback_delay_ms: percentiles(&rollup.callback_delay),
        needed_poll: rollup.needed_poll(),
        disputed: rollup.disputed,
        conflicts: rollup.conflicts,
        credits: rollup.credits(),
    }
}

fn percentiles(durations: &Histogram) -> PercentilesView {
    PercentilesView { p50: durations.percentile(50), p95: durations.percentile(95) }
}
