use serde_json::json;

use super::*;
use crate::channels::channel;
use crate::domain::event::{Event, ServiceData, Subject};
use crate::domain::signature::new_secret;
use crate::domain::source::{Confirm, Poll, RelayKeys};
use crate::egress::Egress;
use crate::providers::provider;

fn house() -> House {
    House { egress: Egress::new(Vec::new()), mailer: None, public_url: None }
}

fn target(name: &str, team: &str) -> (String, Target) {
    let channel = channel("webhook").unwrap();
    let url = format!("https://{name}.example.com/");
    let settings = [("url", json!(url)), ("secret", json!(new_secret().expose()))];
    let settings = settings.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
    let sender = channel.parse(&settings, &house()).unwrap();
    let destination = Destination {
        name: name.into(),
        team: team.into(),
        channel: "webhook".into(),
        settings,
        rate: None,
        concurrency: None,
        from_file: true,
    };
    (name.into(), Target { destination, channel, sender, limits: channel.limits() })
}

fn source(name: &str, teams: Option<&[&str]>) -> (String, ActiveSource) {
    let source = Source {
        name: name.into(),
        provider: "evolink".into(),
        callback_tokens: Vec::new(),
        signing_secrets: Vec::new(),
        teams: teams.map(|teams| teams.iter().map(|team| (*team).to_owned()).collect()),
        rate: None,
        api_key: None,
        base_url: None,
        confirm: Confirm::Auto,
        confirm_within: std::time::Duration::ZERO,
        poll: Poll::default(),
        relay_keys: RelayKeys::Keep,
        from_file: true,
    };
    (
        name.into(),
        ActiveSource { source, tokens: Vec::new(), adapter: provider("evolink").unwrap(), plan: Plan::default() },
    )
}

fn subscription(destination: &str, events: &[EventType], sources: Option<&str>, filter: Option<&str>) -> Subscription {
    Subscription {
        id: SubscriptionId::stored(format!("sub_{destination}")),
        destination: destination.into(),
        events: events.to_vec(),
        sources: sources.map(|name| vec![name.to_owned()]),
        filter: filter.map(|text| Filter::compile(text).unwrap()),
        from_file: true,
    }
}

fn roster(subscriptions: Vec<Subscription>) -> Roster {
    Roster {
        sources: [source("evolink", None), source("private", Some(&["ads"]))].into(),
        targets: [target("a", "ops"), target("b", "ops"), target("c", "ads")].into(),
        subscriptions,
        teams: BTreeSet::new(),
        made_teams: Vec::new(),
        sweeps: Vec::new(),
        url_key: Secret::random(""),
        replay_secret: Secret::random(""),
        faults: Arc::default(),
        durations: Arc::default(),
        uses: Arc::default(),
        retires_at: None,
        version: 0,
    }
}

fn audience(roster: &Roster, kind: EventType, team: Option<&str>, subject: Subject<'_>) -> Vec<String> {
    let data = ServiceData { team, subject, reason: "answered 410", since: Timestamp(0), count: 7 };
    roster.audience(kind, "", &Event::of_service(kind, data, Timestamp(0)).body)
}

#[test]
fn the_other_destinations_of_the_same_team_are_told_that_ask_for_it() {
    let disabled = EventType::DestinationDisabled;
    let all = roster(["a", "b", "b", "c", "nobody"].map(|name| subscription(name, &[disabled], None, None)).into());
    for (team, about, told) in [
        (Some("ops"), "a", vec!["b"]),
        (Some("ops"), "gone", vec!["a", "b"]),
        (Some("ads"), "c", vec![]),
        (Some("ads"), "a", vec!["c"]),
        (None, "a", vec![]),
    ] {
        assert_eq!(audience(&all, disabled, team, Subject::Destination(about)), told, "{team:?} {about}");
    }
    assert!(audience(&all, EventType::DeliveryDead, Some("ops"), Subject::Destination("a")).is_empty());
    // Nobody is told who did not name it.
    let by_default = roster(vec![subscription("b", &EventType::DEFAULT, None, None)]);
    assert!(audience(&by_default, disabled, Some("ops"), Subject::Destination("a")).is_empty());
}

#[test]
fn a_filter_of_such_a_subscription_reads_the_data() {
    let disabled = EventType::DestinationDisabled;
    for (filter, told) in [
        ("task.destination == 'a' && task.count > 5", 1),
        ("event.type == 'destination.disabled' && task.reason.contains('410')", 1),
        ("task.destination == 'x'", 0),
        ("task.model == 'kling'", 0),
    ] {
        let one = roster(vec![subscription("b", &[disabled], None, Some(filter))]);
        assert_eq!(audience(&one, disabled, Some("ops"), Subject::Destination("a")).len(), told, "{filter}");
    }
}

#[test]
fn of_a_source_those_are_told_that_may_see_it_and_want_it() {
    let silent = EventType::SourceSilent;
    let some = roster(vec![
        subscription("a", &[silent], None, None),
        subscription("b", &[silent], Some("evolink"), None),
        subscription("c", &[silent], Some("private"), None),
    ]);
    assert_eq!(audience(&some, silent, Some("ops"), Subject::Source("evolink")), ["a", "b"]);
    assert_eq!(audience(&some, silent, Some("ops"), Subject::Source("private")), Vec::<String>::new());
    assert_eq!(audience(&some, silent, Some("ads"), Subject::Source("private")), ["c"]);
    assert_eq!(some.teams_that_watch("evolink"), BTreeSet::from(["ops"]));
    assert_eq!(some.teams_that_watch("private"), BTreeSet::from(["ads"]));
    // The sources of a subscription say nothing of destinations.
    let dead = roster(vec![subscription("b", &[EventType::DeliveryDead], Some("evolink"), None)]);
    assert_eq!(audience(&dead, EventType::DeliveryDead, Some("ops"), Subject::Destination("a")), ["b"]);
}
