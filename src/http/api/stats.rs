//! Statistics: what came of the tasks of each source and model, by day if asked for.
//!
//! They are answered from rollups alone, never from the events themselves, and hold what was told up to a second or two ago.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::super::problem::Problem;
use super::super::{Services, auth};
use super::Answer;
use super::list::{self, Query, invalid};
use crate::domain::access::Right;
use crate::domain::clock::Timestamp;
use crate::domain::rollup::{Day, Histogram};
use crate::store::{StatsFilter, StatsRow};

/// So far back it looks where nothing is asked for: 30 days.
const SINCE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

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
    let items: Vec<Value> = page.items.iter().map(view).collect();
    let answer = json!({"since": since.start(), "until": until.start(), "items": items, "next_cursor": next_cursor});
    Ok(HttpResponse::Ok().json(answer))
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

fn view(row: &StatsRow) -> Value {
    let StatsRow { source, model, day, rollup } = row;
    json!({
        "source": source,
        "model": Some(model).filter(|model| !model.is_empty()),
        "day": day.map(|day| day.to_string()),
        "tasks": {"completed": rollup.completed, "failed": rollup.failed, "cancelled": rollup.cancelled},
        "success_rate": rollup.success_rate(),
        "generation_ms": percentiles(&rollup.generation),
        "callback_delay_ms": percentiles(&rollup.callback_delay),
        "needed_poll": rollup.needed_poll(),
        "disputed": rollup.disputed,
        "conflicts": rollup.conflicts,
        "credits": rollup.credits(),
    })
}

fn percentiles(durations: &Histogram) -> Value {
    json!({"p50": durations.percentile(50), "p95": durations.percentile(95)})
}
