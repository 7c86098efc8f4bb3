//! What requests hold: the queries that `Query` reads and the bodies that `Fields` reads, each field of which is asked for by its
//! handler.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

use super::words::ProviderName;
use crate::domain::access::Role;
use crate::domain::callback::CallbackOutcome;
use crate::domain::clock::Timestamp;
use crate::domain::delivery::DeliveryStatus;
use crate::domain::event::EventType;
use crate::domain::task::Status;

/// Describes queries and bodies.
macro_rules! asked {
    ($(#[derive($kind:ident)] $(#[$about:meta])* $name:ident {$($(#[$note:meta])* $field:ident: $of:ty,)*})*) => {$(
        #[derive($kind)]
        $(#[$about])*
        #[expect(dead_code, reason = "it describes what a handler reads")]
        pub(in crate::http) struct $name {$($(#[$note])* $field: $of,)*}
    )*};
}

asked! {
    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// What every long list takes.
    Paging {
        /// How many items are wanted at most.
        #[param(minimum = 1, maximum = 250, default = 50)]
        limit: Option<usize>,
        /// `next_cursor` of the page before.
        #[param(min_length = 1)]
        cursor: Option<String>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which tasks.
    Tasks {
        /// Those of this source.
        source: Option<String>,
        /// Those that are so far.
        status: Option<Status>,
        /// Those of this model, as the provider calls it.
        model: Option<String>,
        /// Those first known of then or later.
        since: Option<Timestamp>,
        /// Those first known of before then.
        until: Option<Timestamp>,
        /// Those whose metadata has this value under `KEY`, which stands for any key; several narrow the list further.
        #[param(rename = "metadata.KEY")]
        metadata: Option<String>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which events.
    Events {
        /// Those of this type.
        #[param(rename = "type")]
        kind: Option<EventType>,
        /// Those of this source.
        source: Option<String>,
        /// Those about this task, by the provider's id.
        task_id: Option<String>,
        /// Those made then or later.
        since: Option<Timestamp>,
        /// Those made before then.
        until: Option<Timestamp>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which events are followed.
    Followed {
        /// Those of these types: several with commas, or several times.
        #[param(rename = "type")]
        kind: Option<String>,
        /// Those of these sources: several with commas, or several times.
        source: Option<String>,
        /// A name: replays that are aimed at the listener of this name come as well, as `event: replay`.
        #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
        listener: Option<String>,
        /// The same as the header, where no header can be sent.
        #[param(pattern = "^evt_[0-9A-HJKMNP-TV-Z]{26}$")]
        last_event_id: Option<String>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which deliveries.
    Deliveries {
        /// Those that stand there.
        status: Option<DeliveryStatus>,
        /// Those of this destination, by its name.
        destination: Option<String>,
        /// Those of this event.
        event_id: Option<String>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which callbacks.
    Callbacks {
        /// Those of which this became.
        outcome: Option<CallbackOutcome>,
        /// Those of this source.
        source: Option<String>,
        /// Those that speak of this task.
        task_id: Option<String>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which changes.
    Changes {
        /// Those that did this, such as `destination.create`.
        action: Option<String>,
        /// Those of this object, by its name or id.
        object: Option<String>,
        /// Those made then or later.
        since: Option<Timestamp>,
        /// Those made before then.
        until: Option<Timestamp>,
    }

    #[derive(IntoParams)]
    #[into_params(parameter_in = Query)]
    /// Which numbers.
    Numbers {
        /// From the day of this moment on; 30 days before the end if left out.
        since: Option<Timestamp>,
        /// To the day of this moment; today if left out.
        until: Option<Timestamp>,
        /// Of this source.
        source: Option<String>,
        /// Of this model, as the provider calls it.
        model: Option<String>,
        /// `day`: one item for each day.
        #[param(pattern = "^day$")]
        by: Option<String>,
    }

    #[derive(ToSchema)]
    /// A task to be watched.
    #[schema(example = json!({"source": "evolink", "task_id": "task-unified-1757169743-o3t2v", "metadata": {"campaign": "spring"}}))]
    NewTask {
        /// The source whose provider has it.
        source: String,
        /// The provider's id of it.
        #[schema(min_length = 1, max_length = 512)]
        task_id: String,
        /// At most 20 keys and 2,048 bytes of keys and values together; no key may begin with `cb_`.
        metadata: Option<BTreeMap<String, String>>,
        /// After how long `task.overdue` is told if it has no end by then, such as `30m`.
        expect_within: Option<String>,
    }

    #[derive(ToSchema)]
    /// Where an event is told again. With nothing of it: to all that subscribe to it now.
    #[schema(example = json!({"destination": "backend"}))]
    ReplayOne {
        /// To this destination, by its name.
        destination: Option<String>,
        /// To this URL.
        url: Option<String>,
        /// To whoever follows the stream as this listener.
        #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
        listener: Option<String>,
    }

    #[derive(ToSchema)]
    /// Which events are told again, and where. With neither `destination` nor `url`: to those that subscribe now, or with
    /// `delivery_status` to the deliveries' own destinations.
    #[schema(example = json!({"since": "2026-11-20T00:00:00Z", "until": "2026-11-21T00:00:00Z", "delivery_status": "dead", "dry_run": true}))]
    NewReplay {
        /// Those made then or later.
        since: Timestamp,
        /// Those made before then.
        until: Timestamp,
        /// Those of this source.
        source: Option<String>,
        /// Those of this type.
        #[schema(rename = "type")]
        kind: Option<EventType>,
        /// To this destination, by its name.
        destination: Option<String>,
        /// To this URL.
        url: Option<String>,
        /// Those with a delivery that stands there.
        delivery_status: Option<DeliveryStatus>,
        /// So many events at most, such as `50/s`.
        rate: Option<String>,
        /// Only say what it would reach.
        dry_run: Option<bool>,
    }

    #[derive(ToSchema)]
    /// What becomes of what waited while a destination was disabled.
    #[schema(example = json!({"held": "send"}))]
    Enabling {
        /// `send` or `drop`; `send` if left out.
        #[schema(pattern = "^(send|drop)$")]
        held: Option<String>,
    }

    #[derive(ToSchema)]
    /// Which events go to which destination.
    #[schema(example = json!({"destination": "backend", "events": ["task.completed", "task.failed"], "sources": ["evolink"]}))]
    NewSubscription {
        /// By its name.
        destination: String,
        /// The ends of tasks, `task.overdue` and `task.conflict` if left out.
        #[schema(min_items = 1)]
        events: Option<Vec<EventType>>,
        /// All that the team may see if left out.
        sources: Option<Vec<String>>,
        /// CEL over `event` and `task`: only events for which it is true.
        #[schema(rename = "where", max_length = 1024)]
        filter: Option<String>,
    }

    #[derive(ToSchema)]
    /// What a subscription is from now on.
    #[schema(example = json!({"destination": "backend", "events": ["task.failed"]}))]
    ChangedSubscription {
        /// As it is, or left out.
        id: Option<String>,
        /// By its name.
        destination: String,
        /// The ends of tasks, `task.overdue` and `task.conflict` if left out.
        #[schema(min_items = 1)]
        events: Option<Vec<EventType>>,
        /// All that the team may see if left out.
        sources: Option<Vec<String>>,
        /// CEL over `event` and `task`: only events for which it is true.
        #[schema(rename = "where", max_length = 1024)]
        filter: Option<String>,
    }

    #[derive(ToSchema)]
    /// A team to be made.
    #[schema(example = json!({"name": "ads", "description": "Who makes the spots"}))]
    NewTeam {
        #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
        name: String,
        /// What it is, for people.
        #[schema(max_length = 1000)]
        description: Option<String>,
    }

    #[derive(ToSchema)]
    /// What is changed of a team.
    #[schema(example = json!({"description": "Who makes the spots"}))]
    ChangedTeam {
        /// As it is, or left out.
        name: Option<String>,
        /// What it is, for people; nothing if left out.
        #[schema(max_length = 1000)]
        description: Option<String>,
    }

    #[derive(ToSchema)]
    /// An API key to be made.
    #[schema(example = json!({"name": "the backend of ads", "role": "manage", "team": "ads"}))]
    NewKey {
        /// What it is for, for people.
        #[schema(min_length = 1, max_length = 100)]
        name: String,
        role: Role,
        /// Its team; left out for `admin`, and one's own if left out otherwise.
        team: Option<String>,
        /// When it ends; never if left out.
        expires_at: Option<Timestamp>,
    }

    #[derive(ToSchema)]
    /// What is changed of an API key.
    #[schema(example = json!({"name": "the backend of ads", "expires_at": "2027-11-21T00:00:00Z"}))]
    ChangedKey {
        /// What it is for, for people.
        #[schema(min_length = 1, max_length = 100)]
        name: String,
        /// As it is, or left out.
        role: Option<Role>,
        /// As it is, or left out.
        team: Option<String>,
        /// When it ends; never if left out.
        expires_at: Option<Timestamp>,
    }

    #[derive(ToSchema)]
    /// When a source's tasks are asked for. Durations are such as `5m`.
    #[schema(as = PollingAsked)]
    PollAsked {
        /// How long after the task is first known.
        after: Option<String>,
        /// How often from then on; at least `100ms`.
        every: Option<String>,
        /// After how long no more.
        give_up_after: Option<String>,
        /// How many requests at most, such as `5/s`.
        pace: Option<String>,
        /// Whether tasks are looked for in the provider's list.
        discover: Option<bool>,
    }

    #[derive(ToSchema)]
    /// A source to be made; its keys are those of `[sources.NAME]` in the file.
    #[schema(example = json!({"name": "evolink-ads", "provider": "evolink", "api_key": "sk-…", "teams": ["ads"]}))]
    NewSource {
        #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
        name: String,
        #[schema(value_type = ProviderName)]
        provider: String,
        /// The unguessable part of its callback URL: one or a list, of at least 16 characters each; made if left out.
        #[schema(schema_with = super::words::one_or_more)]
        callback_token: Option<String>,
        /// What the provider signs with: one or a list.
        #[schema(schema_with = super::words::one_or_more)]
        signing_secret: Option<String>,
        /// What the provider is asked with.
        api_key: Option<String>,
        /// Where the provider's API is.
        base_url: Option<String>,
        /// Who may see it; all teams if left out.
        teams: Option<Vec<String>>,
        /// `auto`, `always` or `never`.
        confirm: Option<String>,
        /// After how long `auto` tells what the provider did not confirm.
        confirm_within: Option<String>,
        poll: Option<PollAsked>,
        /// How many callbacks at most, such as `200/s`.
        rate: Option<String>,
        /// `keep` or `forget`.
        relay_keys: Option<String>,
    }

    #[derive(ToSchema)]
    /// What a source is from now on. Secrets that are left out stay; all else that is left out is as it is by default.
    #[schema(example = json!({"provider": "evolink", "teams": ["ads"], "rate": "200/s"}))]
    ChangedSource {
        /// As it is, or left out.
        name: Option<String>,
        /// As it is, or left out.
        #[schema(value_type = Option<ProviderName>)]
        provider: Option<String>,
        /// The unguessable part of its callback URL: one or a list, of at least 16 characters each.
        #[schema(schema_with = super::words::one_or_more)]
        callback_token: Option<String>,
        /// What the provider signs with: one or a list.
        #[schema(schema_with = super::words::one_or_more)]
        signing_secret: Option<String>,
        /// What the provider is asked with.
        api_key: Option<String>,
        /// Where the provider's API is.
        base_url: Option<String>,
        /// Who may see it; all teams if left out.
        teams: Option<Vec<String>>,
        /// `auto`, `always` or `never`.
        confirm: Option<String>,
        /// After how long `auto` tells what the provider did not confirm.
        confirm_within: Option<String>,
        poll: Option<PollAsked>,
        /// How many callbacks at most, such as `200/s`.
        rate: Option<String>,
        /// `keep` or `forget`.
        relay_keys: Option<String>,
    }
}
