//! Replays of many events: a plan of what one would reach, and the worker that carries them out.
//!
//! A page is read without a transaction that writes, and written with one that also moves the replay on, if its lease
//! still holds. So each page is told once, however many instances there are and whenever one of them ends.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::dispatch::URL_LANE;
use super::roster::{LiveRoster, Roster};
use crate::domain::access::Scope;
use crate::domain::clock::{SharedClock, Timestamp};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, EventId};
use crate::domain::replay::{Selection, next_page_at, page_size};
use crate::shutdown::Lifecycle;
use crate::store::{Counted, NewDelivery, NewReplay, ReplayRow, Result, Selected, Store, Stretch, Turned, Tx};

/// A page takes milliseconds; who has not written it by then has died.
const LEASE: Duration = Duration::from_secs(30);
/// Without a wake-up it is looked this often: other instances make replays too.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// So many due deliveries may wait before a destination: what happens now is to be told among them, not after
/// a million of old events.
const WAITING_MAX: usize = 400;
/// So many stretches without a selected event are walked over before that is written down.
const STRETCHES: usize = 10;
/// So many bodies are in memory at once.
const BODIES: usize = 20;
/// So many index entries are counted for a plan; beyond, it is estimated.
const COUNTED: u64 = 100_000;
/// So many events of a source and type are held against the filters of subscriptions for a plan.
const SAMPLE: usize = 100;

/// What the worker works with.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who is there.
    pub roster: Arc<LiveRoster>,
    /// The time.
    pub clock: SharedClock,
    /// Which process this is, by host and address.
    pub owner: String,
    /// Notified when a replay was made.
    pub wake: Arc<Notify>,
    /// Whom to notify of deliveries.
    pub deliveries: Arc<Notify>,
    /// The life of the process.
    pub life: Lifecycle,
}

/// Carries replays out, a page at a time.
pub struct Replayer {
    parts: Parts,
}

/// Where a replay goes.
enum To<'a> {
    /// To those that subscribe now.
    Subscribers,
    /// Each to the destination whose delivery was selected.
    Own,
    /// To one, where it is there.
    One(Option<Place<'a>>),
}

/// A destination, or a URL.
#[derive(Clone)]
struct Place<'a> {
    name: &'a str,
    url: Option<&'a str>,
}

/// What is to be told next.
#[derive(Default)]
struct Page {
    /// Each with those that are to be told of it.
    told: Vec<(Selected, Vec<String>)>,
    /// Where it stands afterwards.
    position: String,
    /// Whether more may follow, and when that can be read.
    more: Option<Timestamp>,
}

impl Replayer {
    /// A worker that has nothing in hand.
    pub fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// What the process that was here before had in hand is due at once.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn take_over(&self) -> Result<()> {
        let owner = (!self.parts.store.is_single()).then_some(self.parts.owner.as_str());
        let mut tx = self.parts.store.write().await?;
        tx.void_replay_leases(owner, self.parts.clock.now()).await?;
        tx.commit().await
    }

    /// Works until the process stops.
    pub async fn run(self) {
        let soft = self.parts.life.soft().clone();
        while !soft.is_cancelled() {
            let wait = match self.tick().await {
                Ok(true) => continue,
                Ok(false) => self.until_next().await.unwrap_or(LOOK_AT_LEAST_EVERY),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a replay cannot go on; trying again");
                    LOOK_AT_LEAST_EVERY
                }
            };
            tokio::select! {
                () = self.parts.wake.notified() => {}
                () = soft.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn until_next(&self) -> Result<Duration> {
        let next = self.parts.store.read().await?.next_replay_at().await?;
        let now = self.parts.clock.now();
        Ok(next.map_or(LOOK_AT_LEAST_EVERY, |next| next.since(now).min(LOOK_AT_LEAST_EVERY)))
    }

    /// One page of the replay that has been due for longest. `false` where none is due.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn tick(&self) -> Result<bool> {
        let Some(row) = self.claim().await? else { return Ok(false) };
        self.turn(&row).await?;
        Ok(true)
    }

    /// Takes the lease of a replay that is due.
    ///
    /// # Errors
    /// As the database gives them.
    pub async fn claim(&self) -> Result<Option<ReplayRow>> {
        let now = self.parts.clock.now();
        // To look costs no write: mostly there is none.
        if self.parts.store.read().await?.next_replay_at().await?.is_none_or(|next| next > now) {
            return Ok(None);
        }
        let mut tx = self.parts.store.write().await?;
        let row = tx.claim_replay(&self.parts.owner, now, now.after(LEASE)).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Tells the next page of a replay whose lease was taken.
    ///
    /// # Errors
    /// As the database gives them; nothing of the page was told then.
    pub async fn turn(&self, row: &ReplayRow) -> Result<()> {
        let now = self.parts.clock.now();
        let roster = self.parts.roster.now();
        let page = self.read(row, &roster, now).await?;
        let mut tx = self.parts.store.write().await?;
        let Some(made) = write(&mut tx, row, page, now).await? else { return Ok(()) };
        tx.commit().await?;
        metrics::counter!("callboard_replayed_total").increment(made);
        if made > 0 {
            self.parts.deliveries.notify_one();
        }
        Ok(())
    }

    async fn read(&self, row: &ReplayRow, roster: &Roster, now: Timestamp) -> Result<Page> {
        let scope = scope_of(roster, &row.made);
        let to = to(&row.made, roster, &scope);
        let mut tx = self.parts.store.read().await?;
        let mut page = match row.made.selection.delivery_status {
            Some(status) => walk_deliveries(&mut tx, row, roster, &scope, status, now).await?,
            None => walk_events(&mut tx, row, &scope, now).await?,
        };
        match to {
            To::Own => {}
            To::One(place) => {
                let names: Vec<String> = place.iter().map(|place| place.name.to_owned()).collect();
                page.told.iter_mut().for_each(|(_, told)| told.clone_from(&names));
            }
            To::Subscribers => find_subscribers(&mut tx, roster, &scope, &mut page.told).await?,
        }
        let mut names: Vec<String> = page.told.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
        names.sort();
        names.dedup();
        if !tx.crowded(&names, WAITING_MAX, now).await?.is_empty() {
            let more = Some(now.after(LOOK_AT_LEAST_EVERY));
            return Ok(Page { position: row.position.clone(), more, ..Page::default() });
        }
        Ok(page)
    }
}

/// Writes a page, and moves the replay on. Gives how many deliveries were made; `None` if it is no longer ours.
async fn write(tx: &mut Tx, row: &ReplayRow, page: Page, now: Timestamp) -> Result<Option<u64>> {
    let made = &row.made;
    let ids: Vec<String> = page.told.iter().map(|(event, _)| event.event_id.clone()).collect();
    let mut told = tx.told_by_replay(made.id.as_str(), &ids).await?;
    let kept = tx.kept_events(&ids).await?;
    let mut turned = Turned { events: ids.len() as u64, position: page.position, ..Turned::default() };
    let mut deliveries = Vec::new();
    for (event, names) in page.told {
        if !kept.contains(&event.event_id) || (names.is_empty() && made.destination.is_some()) {
            turned.skipped += 1;
            continue;
        }
        for destination in names {
            if told.insert((event.event_id.clone(), destination.clone())) {
                deliveries.push(NewDelivery {
                    id: DeliveryId::new(now),
                    event_id: EventId::stored(event.event_id.clone()),
                    event_type: event.kind.as_str(),
                    destination,
                    replay_id: Some(made.id.clone()),
                    url: made.url.clone(),
                });
            }
        }
    }
    turned.deliveries = deliveries.len() as u64;
    let next = next_page_at(made.rate, now, ids.len());
    turned.due_at = page.more.map(|more| more.max(next));
    if turned.due_at.is_none() && made.is_exact {
        // What was counted and never came was pruned meanwhile, or is no longer as it was.
        let gone = made.events_total.saturating_sub(row.events_done + turned.events);
        turned.skipped += gone;
        turned.events += gone;
    }
    if !tx.turn_replay(row, &turned, now).await? {
        return Ok(None);
    }
    tx.insert_deliveries(deliveries, now);
    Ok(Some(turned.deliveries))
}

async fn walk_events(tx: &mut Tx, row: &ReplayRow, scope: &Scope, now: Timestamp) -> Result<Page> {
    let selection = &row.made.selection;
    let (end, settled) = (selection.end(&row.made.id), Selection::settled(now));
    let before = end.as_str().min(&settled);
    let mut position = if row.position.is_empty() { selection.first() } else { row.position.clone() };
    let mut page = Page::default();
    for _ in 0..STRETCHES {
        let limit = page_size(row.made.rate);
        let Stretch { events, reached } = tx.walk_events(scope, selection, (&position, before), limit).await?;
        page.more = match &reached {
            Some(_) => Some(now),
            None if before < end.as_str() => Some(now.after(LOOK_AT_LEAST_EVERY)),
            None => None,
        };
        let last = events.last().map(|event| event.position.clone());
        position = reached.clone().or(last).unwrap_or(position);
        page.told = events.into_iter().map(|event| (event, Vec::new())).collect();
        if !page.told.is_empty() || reached.is_none() {
            break;
        }
    }
    page.position = position;
    Ok(page)
}

async fn walk_deliveries(
    tx: &mut Tx,
    row: &ReplayRow,
    roster: &Roster,
    scope: &Scope,
    status: DeliveryStatus,
    now: Timestamp,
) -> Result<Page> {
    let selection = &row.made.selection;
    let end = Selection::end_of_deliveries(&row.made.id);
    let first = selection.first_delivery();
    let (mut at, mut after) = match row.position.split_once('/') {
        Some((at, after)) => (at.to_owned(), after.to_owned()),
        None => (String::new(), first.clone()),
    };
    let limit = page_size(row.made.rate);
    let mut stretches = STRETCHES;
    for name in
        walked_destinations(&row.made, roster, scope).into_iter().filter(|name| name.as_str() >= name_at(&row.position))
    {
        if name != at {
            (at, after) = (name, first.clone());
        }
        loop {
            let Stretch { events, reached } =
                tx.walk_deliveries(&at, status, scope, selection, (&after, &end), limit).await?;
            let last = events.last().map(|event| event.position.clone());
            // Behind every id there is nothing more of this one.
            after = reached.clone().or(last).unwrap_or(after);
            stretches = stretches.saturating_sub(1);
            if !events.is_empty() || stretches == 0 {
                let told = events.into_iter().map(|event| (event, vec![at.clone()])).collect();
                return Ok(Page { told, position: format!("{at}/{after}"), more: Some(now) });
            }
            if reached.is_none() {
                break;
            }
        }
    }
    Ok(Page { position: format!("{at}/{after}"), ..Page::default() })
}

/// The destinations whose deliveries are looked at, in order.
fn walked_destinations(made: &NewReplay, roster: &Roster, scope: &Scope) -> Vec<String> {
    let mut names: Vec<String> = match &made.destination {
        Some(name) => vec![name.clone()],
        None => roster.targets.keys().cloned().collect(),
    };
    names.retain(|name| roster.targets.contains_key(name) && scope.sees_destination(name));
    names.sort();
    names
}

fn scope_of(roster: &Roster, made: &NewReplay) -> Scope {
    made.team.as_deref().map_or(Scope::All, |team| roster.scope_of(team))
}

fn to<'a>(made: &'a NewReplay, roster: &Roster, scope: &Scope) -> To<'a> {
    match (&made.url, &made.destination, made.selection.delivery_status) {
        (Some(url), ..) => To::One(Some(Place { name: URL_LANE, url: Some(url) })),
        (None, Some(name), _) => {
            let is_there = roster.targets.contains_key(name) && scope.sees_destination(name);
            To::One(is_there.then_some(Place { name, url: None }))
        }
        (None, None, Some(_)) => To::Own,
        (None, None, None) => To::Subscribers,
    }
}

/// Finds who subscribes to each event; the bodies are read only where that depends on them.
async fn find_subscribers(
    tx: &mut Tx,
    roster: &Roster,
    scope: &Scope,
    told: &mut [(Selected, Vec<String>)],
) -> Result<()> {
    let filters = roster.subscriptions.iter().any(|subscription| subscription.filter.is_some());
    for some in told.chunks_mut(BODIES) {
        let asked = some.iter().filter(|(event, _)| filters || event.kind.is_of_service());
        let ids: Vec<String> = asked.map(|(event, _)| event.event_id.clone()).collect();
        let bodies: HashMap<String, String> = tx.event_bodies(&ids).await?.into_iter().collect();
        for (event, names) in some {
            let body = bodies.get(&event.event_id).map_or("", String::as_str);
            *names = roster.audience(event.kind, event.source.as_deref().unwrap_or_default(), body);
            names.retain(|name| scope.sees_destination(name));
        }
    }
    Ok(())
}

/// What a replay would reach.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// How many events; with a delivery status how many such deliveries.
    pub events: u64,
    /// How many deliveries they would make.
    pub deliveries: u64,
    /// The same by destination.
    pub destinations: BTreeMap<String, u64>,
    /// Whether all was counted; if not, it is estimated.
    pub is_exact: bool,
}

impl Plan {
    fn add(&mut self, name: &str, many: u64) {
        if many > 0 {
            *self.destinations.entry(name.to_owned()).or_default() += many;
            self.deliveries += many;
        }
    }
}

/// How many events a replay has, and whom it would reach. It costs as much as 100,000 index entries, however many
/// events there are.
///
/// # Errors
/// As the database gives them.
pub async fn plan(tx: &mut Tx, roster: &Roster, made: &NewReplay) -> Result<Plan> {
    let scope = scope_of(roster, made);
    let to = to(made, roster, &scope);
    if let Some(status) = made.selection.delivery_status {
        return plan_deliveries(tx, roster, &scope, made, status).await;
    }
    let end = made.selection.end(&made.id);
    let counts = tx.count_selected(&scope, &made.selection, &end, COUNTED).await?;
    let events = counts.iter().map(|counted| counted.many).sum();
    let is_exact = counts.iter().all(|counted| counted.is_exact);
    let mut plan = Plan { events, is_exact, ..Plan::default() };
    match to {
        To::One(Some(place)) => plan.add(place.url.unwrap_or(place.name), events),
        To::One(None) | To::Own => {}
        To::Subscribers => {
            for counted in &counts {
                plan_subscribers(tx, roster, &scope, made, counted, &mut plan).await?;
            }
        }
    }
    Ok(plan)
}

async fn plan_subscribers(
    tx: &mut Tx,
    roster: &Roster,
    scope: &Scope,
    made: &NewReplay,
    counted: &Counted,
    plan: &mut Plan,
) -> Result<()> {
    let Some(kind) = counted.kind else { return Ok(()) };
    let source = counted.source.as_deref().unwrap_or_default();
    // Of the service's own events it is said in them whom they concern.
    let by_body = kind.is_of_service() || has_filters(roster, kind, source);
    let certain = if kind.is_of_service() { Vec::new() } else { audience_without_filters(roster, kind, source) };
    for name in certain.iter().filter(|name| scope.sees_destination(name)) {
        plan.add(name, counted.many);
    }
    if !by_body {
        return Ok(());
    }
    let end = made.selection.end(&made.id);
    let sample = tx.sample_selected(scope, counted, &made.selection, &end, SAMPLE).await?;
    let asked = sample.len() as u64;
    let mut matches: BTreeMap<String, u64> = BTreeMap::new();
    for name in sample.iter().flat_map(|body| roster.audience(kind, source, body)) {
        if scope.sees_destination(&name) && !certain.contains(&name) {
            *matches.entry(name).or_default() += 1;
        }
    }
    for (name, many) in matches {
        plan.add(&name, many * counted.many / asked.max(1));
    }
    plan.is_exact &= asked == counted.many;
    Ok(())
}

async fn plan_deliveries(
    tx: &mut Tx,
    roster: &Roster,
    scope: &Scope,
    made: &NewReplay,
    status: DeliveryStatus,
) -> Result<Plan> {
    let (first, end) = (made.selection.first_delivery(), Selection::end_of_deliveries(&made.id));
    let mut plan = Plan { is_exact: true, ..Plan::default() };
    let mut left = COUNTED;
    for name in walked_destinations(made, roster, scope) {
        let range = (first.as_str(), end.as_str());
        let (many, looked_at) =
            tx.count_selected_deliveries(&name, status, scope, &made.selection, range, left).await?;
        plan.is_exact &= looked_at < left;
        left = left.saturating_sub(looked_at).max(COUNTED / 100);
        plan.events += many;
        plan.add(made.url.as_deref().unwrap_or(&name), many);
    }
    Ok(plan)
}

/// The destination at which a walk over deliveries stands; empty at the beginning.
fn name_at(position: &str) -> &str {
    position.split_once('/').map_or("", |(name, _)| name)
}

/// Those that are told of every event of a type and source, whatever is in it.
fn audience_without_filters(roster: &Roster, kind: EventType, source: &str) -> Vec<String> {
    let all = roster.subscriptions.iter().filter(|one| one.filter.is_none() && one.wants(kind, source));
    let visible = all.filter(|one| roster.may_see(&one.destination, source));
    let mut names: Vec<String> = visible.map(|one| one.destination.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Whether it depends on what is in an event who is told of it.
fn has_filters(roster: &Roster, kind: EventType, source: &str) -> bool {
    roster.subscriptions.iter().any(|one| one.filter.is_some() && one.wants(kind, source))
}
