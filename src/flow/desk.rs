//! The dispatcher's desk: what it knows between two looks at the queue, and what it decides and writes at each.
//!
//! A look is one transaction: what has ended is settled, what destinations fare by is noted, and what is due is claimed as
//! far as its lane has room.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::dispatch::{LOOK_AT_LEAST_EVERY, Parts, lease_for};
use super::finished::{Finished, settled, tell};
use super::forward::is_url_lane;
use super::lane::{Lane, Room};
use super::lanes::{Offers, Written, limits};
use super::roster::Roster;
use super::sweep::is_swept;
use super::trouble::{self, Made, Tally};
use crate::domain::clock::Timestamp;
use crate::domain::retry::FAILURES_BEFORE_DISABLING;
use crate::store::{Claimed, DestinationState, Handed, Lease, Result, Settled, Tx};

/// What the dispatcher knows of the database between two looks.
pub(super) struct Desk {
    parts: Arc<Parts>,
    /// How the destinations are faring.
    pub(super) states: HashMap<String, DestinationState>,
    /// Ended, and not yet written down.
    finished: Vec<Finished>,
    /// Not to be sent after all, and not yet given back.
    returned: Vec<Claimed>,
    /// When it was looked whether something is held that should not be.
    held_looked_at: Option<Timestamp>,
}

/// What one look came to.
#[derive(Default)]
pub(super) struct Look {
    /// What is to be sent.
    pub(super) claimed: Vec<Claimed>,
    /// When something may be due next.
    pub(super) next: Option<Timestamp>,
    /// Destinations with more in the queue than could be taken.
    pub(super) behind: HashSet<String>,
    /// What has ended is settled, of so many of which destination.
    pub(super) written: Written,
    settled: Vec<Settled>,
    made: Vec<Made>,
}

/// What is to be done with the queue.
#[derive(Default)]
pub(super) struct Orders {
    /// With the deliveries of which destination what.
    each: Vec<(String, Order)>,
    next: Option<Timestamp>,
    behind: HashSet<String>,
}

impl Look {
    /// There is something to be looked at by then.
    pub(super) fn soon(self, at: Option<Timestamp>) -> Self {
        Self { next: at.or(self.next), ..self }
    }
}

impl Orders {
    /// What such a look comes to, where there is nothing to do.
    pub(super) fn nothing_to_do(self) -> Option<Look> {
        let Self { each, next, behind } = self;
        each.is_empty().then(|| Look { next, behind, ..Look::default() })
    }
}

/// What is done with the deliveries of a destination.
enum Order {
    Claim(usize),
    Hold(String),
    Release,
}

impl Desk {
    pub(super) fn new(parts: Arc<Parts>) -> Self {
        let (states, finished, returned) = (HashMap::new(), Vec::new(), Vec::new());
        Self { parts, states, finished, returned, held_looked_at: None }
    }

    /// Takes in what has ended and what is given back, until it is written down.
    pub(super) fn take(&mut self, finished: Vec<Finished>, returned: Vec<Claimed>) {
        self.finished.extend(finished);
        self.returned.extend(returned);
    }

    /// Whether there is something to be written down.
    pub(super) fn has_something(&self) -> bool {
        !self.finished.is_empty() || !self.returned.is_empty()
    }

    /// Settles what has ended, gives back what is not sent and takes what is due, as far as there are offers. Nothing of
    /// it counts before it is durable, and [`Desk::tell`] was called.
    ///
    /// # Errors
    /// As the database gives them; nothing was done then.
    pub(super) async fn look(
        &mut self,
        mut tx: Tx,
        roster: &Roster,
        now: Timestamp,
        offers: Option<Offers>,
    ) -> Result<(Look, Handed)> {
        let (settled, made) = self.write_down(&mut tx, roster, now).await?;
        tx.return_leases(&self.returned, now);
        let mut look = Look { settled, made, ..Look::default() };
        for ended in &self.finished {
            *look.written.entry(ended.claimed.destination.clone()).or_default() += 1;
        }
        if let Some(offers) = offers {
            let mut orders = self.orders(&mut tx, roster, now, &offers).await?;
            let ids = self.carry_out(&mut tx, &mut orders, now).await?;
            (look.next, look.behind) = (orders.next, orders.behind);
            look.claimed = tx.claimed(&ids).await?;
            if look.claimed.len() < ids.len() {
                tx.remove_orphans(&ids).await?;
            }
        }
        Ok((look, tx.hand_over().await?))
    }

    /// Says what became of what has ended, now that it is written down.
    pub(super) fn tell(&mut self, look: &mut Look) {
        for (ended, settled) in std::mem::take(&mut self.finished).iter().zip(&look.settled) {
            tell(&self.parts.notices, ended, settled);
        }
        self.returned.clear();
        trouble::tell(&self.parts.notices, std::mem::take(&mut look.made));
    }

    /// What is to be done with the queue.
    ///
    /// # Errors
    /// As the database gives them.
    pub(super) async fn orders(
        &mut self,
        tx: &mut Tx,
        roster: &Roster,
        now: Timestamp,
        offers: &Offers,
    ) -> Result<Orders> {
        let backlog = tx.backlog().await?;
        let states = tx.destination_states().await?;
        self.states = states.into_iter().map(|state| (state.name.clone(), state)).collect();
        let mut orders = self.plan(roster, backlog, now, offers);
        let held = self.held_too_long(tx, roster, now, &mut orders.next).await?;
        orders.each.extend(held);
        Ok(orders)
    }

    async fn carry_out(&self, tx: &mut Tx, orders: &mut Orders, now: Timestamp) -> Result<Vec<String>> {
        let lease = Lease { owner: self.parts.owner.clone(), until: now.after(lease_for(self.parts.timeout)) };
        let mut ids = Vec::new();
        for (name, order) in std::mem::take(&mut orders.each) {
            match order {
                Order::Hold(reason) => {
                    if tx.hold(&name, &reason).await? {
                        orders.next = Some(now);
                    }
                }
                Order::Release => tx.release(&name, now).await?,
                Order::Claim(many) => {
                    let claimed = tx.claim(&name, many, now, &lease).await?;
                    if claimed.len() == many {
                        orders.behind.insert(name);
                    }
                    ids.extend(claimed);
                }
            }
        }
        Ok(ids)
    }

    /// What to claim from the backlog, and when to look again at what cannot be claimed yet.
    fn plan(&self, roster: &Roster, backlog: Vec<(String, Timestamp)>, now: Timestamp, offers: &Offers) -> Orders {
        let mut orders = Orders::default();
        for (name, due_at) in backlog {
            let Some(limits) = limits(roster, &name) else { continue };
            let state = self.states.get(&name);
            if let Some((_, reason)) = state.and_then(|state| state.disabled.as_ref()) {
                orders.each.push((name, Order::Hold(reason.clone())));
                continue;
            }
            let paused = state.and_then(|state| state.paused_until).filter(|until| *until > now);
            let offer = offers.get(&name).copied().unwrap_or_else(|| Lane::new(limits).room(now));
            let later = match paused.map_or(offer, Room::NotBefore) {
                _ if due_at > now => Some(due_at),
                Room::For(many) => {
                    orders.each.push((name, Order::Claim(many)));
                    None
                }
                none => {
                    orders.behind.insert(name);
                    none.not_before()
                }
            };
            orders.next = orders.next.into_iter().chain(later).min();
        }
        orders
    }

    /// What is held of destinations that are enabled: more than was released at once, or written by somebody who did
    /// not know yet.
    async fn held_too_long(
        &mut self,
        tx: &mut Tx,
        roster: &Roster,
        now: Timestamp,
        next: &mut Option<Timestamp>,
    ) -> Result<Vec<(String, Order)>> {
        if self.held_looked_at.is_some_and(|at| now.since(at) < LOOK_AT_LEAST_EVERY) {
            return Ok(Vec::new());
        }
        let enabled = |name: &String| self.states.get(name).is_none_or(|state| state.disabled.is_none());
        let mut holding = tx.holding().await?;
        holding.retain(|name| enabled(name) && roster.targets.contains_key(name) && !is_swept(roster, name));
        if holding.is_empty() {
            self.held_looked_at = Some(now);
        } else {
            *next = Some(now);
        }
        Ok(holding.into_iter().map(|name| (name, Order::Release)).collect())
    }

    async fn write_down(&self, tx: &mut Tx, roster: &Roster, now: Timestamp) -> Result<(Vec<Settled>, Vec<Made>)> {
        if self.finished.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let settled: Vec<Settled> = self.finished.iter().map(|ended| settled(ended, &self.parts.policy, now)).collect();
        // By name, so that two instances note them in the same order. Behind a lane of URLs there is no destination
        // that could be well or ill.
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for (ended, settled) in self.finished.iter().zip(&settled) {
            if !is_url_lane(&ended.claimed.destination) {
                let tally = tallies.entry(&ended.claimed.destination).or_default();
                tally.count(&ended.claimed, &ended.report.outcome, &settled.settlement);
            }
        }
        let failing = |name: &str| self.states.get(name).is_some_and(|state| state.failures > 0);
        let names: Vec<_> = tallies.iter().map(|(&name, tally)| (name, tally.is_ill() || failing(name))).collect();
        // Before any delivery is written: who disables a destination has its row and then wants its deliveries.
        let before = tx.lock_destination_states(&names).await?;
        let late = tx.settle(&settled, now).await?;
        if !late.is_empty() {
            metrics::counter!("callboard_settlements_fenced_total").increment(late.len() as u64);
            tracing::warn!(deliveries = late.len(), "settled too late: their leases had passed to another process");
        }
        for (ended, settled) in self.finished.iter().zip(&settled) {
            let name = ended.claimed.destination.as_str();
            // One that is nobody's any more is in no trouble.
            let counts = !late.contains(&settled.delivery_id) && roster.targets.contains_key(name);
            if let Some(tally) = tallies.get_mut(name).filter(|_| counts) {
                tally.count_death(&ended.claimed, &settled.settlement);
            }
        }
        let made = self.note_destinations(tx, roster, &tallies, &before, now).await?;
        Ok((settled, made))
    }

    /// Notes how the destinations are faring: well again, failing, asking to be left alone, or no more. Gives what
    /// their teams are told of it.
    async fn note_destinations(
        &self,
        tx: &mut Tx,
        roster: &Roster,
        tallies: &BTreeMap<&str, Tally>,
        before: &[DestinationState],
        now: Timestamp,
    ) -> Result<Vec<Made>> {
        let mut made = Vec::new();
        for (&name, tally) in tallies {
            let failing = self.states.get(name).is_some_and(|state| state.failures > 0);
            let (mut disable, mut failed) = (tally.disable.clone(), None);
            if tally.delivered && failing {
                tx.note_success(name).await?;
            } else if tally.failures > 0 && !tally.delivered {
                let (since, failures) = tx.note_failures(name, tally.failures, now).await?;
                let too_long = now.since(since) >= self.parts.policy.disable_after;
                if too_long && failures >= FAILURES_BEFORE_DISABLING {
                    disable = disable.or_else(|| Some(format!("only failures since {since}")));
                }
                failed = Some((since, failures));
            }
            if let Some(until) = tally.pause_until {
                tx.pause(name, until).await?;
            }
            if let Some(reason) = &disable {
                if tx.disable(name, reason, now).await? {
                    metrics::counter!("callboard_destinations_disabled_total").increment(1);
                    tracing::warn!(
                        destination = name,
                        reason,
                        "the destination is disabled; what waits for it is held"
                    );
                } else {
                    disable = None;
                }
            }
            // Who has no row is well, and no worse than before.
            let Some(before) = before.iter().find(|state| state.name == name) else { continue };
            let mut trouble = before.trouble;
            let news = trouble.take(&tally.faring(before, failed, disable.as_deref()), now);
            if trouble != before.trouble {
                tx.save_trouble(name, &trouble).await?;
                made.extend(trouble::write_news(tx, roster, name, news, now));
            }
        }
        Ok(made)
    }
}
