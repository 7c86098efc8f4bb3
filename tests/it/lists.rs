//! Lists: what a team's key finds is its own, pages lead on without a gap, and what no index knows is found all the
//! same.

use callboard::domain::access::{Scope, TeamScope};
use callboard::domain::clock::Timestamp;
use callboard::domain::delivery::DeliveryStatus;
use callboard::domain::event::{Event, EventType};
use callboard::domain::id::{DeliveryId, EventId};
use callboard::domain::task::{Metadata, MetadataOrigin, Observation, Provenance, Status, Task, Trust, Via};
use callboard::store::{DeliveryFilter, EventFilter, NewDelivery, Store, TaskFilter};

use crate::app::{Database, Db, START, TestApp, both};

const SOURCES: [&str; 3] = ["evolink", "replicate", "other"];
const STATUSES: [Status; 3] = [Status::Completed, Status::Failed, Status::Processing];

fn ended(number: i64) -> (Task, Event) {
    let now = Timestamp(START.0 + number);
    let at = usize::try_from(number).unwrap();
    let mut seen = Observation::new(&format!("t{number}"), STATUSES[at / 3 % 3]);
    seen.model = Some(format!("model-{}", if at == 3 { "rare" } else { "usual" }));
    let from = Provenance {
        via: Via::Callback,
        trust: Trust::Unsigned,
        metadata: Metadata::from([("number".into(), (at % 10).to_string()), ("long".into(), "ä".repeat(300))]),
        metadata_origin: MetadataOrigin::Url,
    };
    let (task, _) = Task::first_seen(SOURCES[at % 3], "evolink", &seen, &from, now);
    let kind = match seen.status {
        Status::Completed => EventType::TaskCompleted,
        Status::Failed => EventType::TaskFailed,
        _ => EventType::TaskProcessing,
    };
    let event = Event::of_task(kind, &task, None, now);
    (task, event)
}

/// Tasks and events of all sources and statuses in turn, and a delivery of each to one of two destinations.
async fn seeded(database: &Database, many: i64) -> Store {
    let store = database.store().await;
    let made: Vec<(Task, Event)> = (0..many).map(ended).collect();
    let deliveries: Vec<NewDelivery> = made
        .iter()
        .enumerate()
        .map(|(at, (_, event))| NewDelivery {
            id: DeliveryId::new(event.at),
            event_id: EventId::stored(event.id.to_string()),
            event_type: event.kind.as_str(),
            destination: ["ads-slack", "ops-mail"][at % 2].into(),
            replay_id: None,
            url: None,
        })
        .collect();
    let mut tx = store.write().await.unwrap();
    tx.insert_tasks(made.iter().map(|(task, _)| task.clone()));
    tx.insert_events(made.iter().map(|(_, event)| event.clone()));
    tx.insert_deliveries(deliveries, START);
    tx.commit().await.unwrap();
    store
}

fn team() -> Scope {
    Scope::Team(TeamScope {
        team: "ads".into(),
        sources: ["evolink".to_owned(), "nobody".to_owned()].into(),
        destinations: ["ads-slack".to_owned()].into(),
    })
}

/// Every page of a list of tasks: their ids, newest first.
async fn all_tasks(store: &Store, scope: &Scope, mut filter: TaskFilter) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = store.read().await.unwrap().tasks(scope, &filter).await.unwrap();
        assert!(page.items.len() <= filter.limit);
        ids.extend(page.items.into_iter().map(|task| task.task_id));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => return ids,
        }
    }
}

both! {
    async fn pages_lead_on_without_a_gap_or_a_repeat(db: Db) {
        let database = Database::fresh(db);
        let store = seeded(&database, 100).await;
        for limit in [1, 7, 100, 250] {
            let filter = TaskFilter { limit, ..Default::default() };
            let wanted: Vec<String> = (0..100).rev().map(|number| format!("t{number}")).collect();
            assert_eq!(all_tasks(&store, &Scope::All, filter).await, wanted, "{limit}");
        }
        let filter = TaskFilter { limit: 3, metadata: vec![("number".into(), "7".into())], ..Default::default() };
        let wanted: Vec<String> = (0..100).rev().filter(|n| n % 10 == 7).map(|n| format!("t{n}")).collect();
        assert_eq!(all_tasks(&store, &Scope::All, filter.clone()).await, wanted);
        let failed = TaskFilter { status: Some(Status::Failed), source: Some("replicate".into()), ..filter };
        let wanted: Vec<String> =
            (0..100).rev().filter(|n| n % 10 == 7 && n % 3 == 1 && n / 3 % 3 == 1).map(|n| format!("t{n}")).collect();
        assert!(!wanted.is_empty());
        assert_eq!(all_tasks(&store, &Scope::All, failed).await, wanted);
        let long = TaskFilter { limit: 250, metadata: vec![("long".into(), "ä".repeat(300))], ..Default::default() };
        assert_eq!(all_tasks(&store, &Scope::All, long).await.len(), 100);
        let other = TaskFilter { limit: 250, metadata: vec![("long".into(), "ä".repeat(299))], ..Default::default() };
        assert_eq!(all_tasks(&store, &Scope::All, other).await.len(), 0);
    }

    async fn what_no_index_knows_is_found_behind_a_window_of_other_rows(db: Db) {
        let database = Database::fresh(db);
        let store = seeded(&database, 7000).await;
        let filter = TaskFilter { limit: 50, model: Some("model-rare".into()), ..Default::default() };
        let first = store.read().await.unwrap().tasks(&Scope::All, &filter).await.unwrap();
        assert!(first.items.is_empty() && first.next.is_some(), "a page that says how far was looked");
        assert_eq!(all_tasks(&store, &Scope::All, filter.clone()).await, ["t3"]);
        let usual = TaskFilter { model: Some("model-usual".into()), limit: 250, ..filter };
        assert_eq!(all_tasks(&store, &Scope::All, usual).await.len(), 6999);
    }

    async fn a_team_finds_its_own_and_nothing_else(db: Db) {
        let database = Database::fresh(db);
        let store = seeded(&database, 90).await;
        let scope = team();
        let filter = TaskFilter { limit: 7, ..Default::default() };
        let wanted: Vec<String> = (0..90).rev().filter(|n| n % 3 == 0).map(|n| format!("t{n}")).collect();
        assert_eq!(all_tasks(&store, &scope, filter.clone()).await, wanted);
        let theirs = TaskFilter { source: Some("other".into()), ..filter };
        assert!(all_tasks(&store, &scope, theirs).await.is_empty());
        let mut tx = store.read().await.unwrap();
        assert!(tx.task(&scope, "evolink", "t0").await.unwrap().is_some());
        assert!(tx.task(&scope, "replicate", "t1").await.unwrap().is_none());

        let all = EventFilter { limit: 250, ..Default::default() };
        let events = tx.events(&scope, &all).await.unwrap().items;
        assert_eq!(events.len(), 30);
        assert!(events.iter().all(|event| event.source.as_deref() == Some("evolink")));
        let other = tx.events(&Scope::All, &EventFilter { source: Some("other".into()), ..all.clone() }).await.unwrap();
        let id = other.items[0].id.clone();
        assert!(tx.event(&Scope::All, &id).await.unwrap().is_some() && tx.event(&scope, &id).await.unwrap().is_none());

        let all = DeliveryFilter { limit: 250, ..Default::default() };
        let own = tx.deliveries(&scope, &all).await.unwrap().items;
        assert_eq!(own.len(), 45);
        assert!(own.iter().all(|delivery| delivery.destination == "ads-slack"));
        for status in DeliveryStatus::ALL {
            let filter = DeliveryFilter { status: Some(status), ..all.clone() };
            let expected = if status == DeliveryStatus::Pending { (45, 90) } else { (0, 0) };
            let found = tx.deliveries(&scope, &filter).await.unwrap().items.len();
            assert_eq!((found, tx.deliveries(&Scope::All, &filter).await.unwrap().items.len()), expected, "{status:?}");
        }
        let all_there_are = tx.deliveries(&Scope::All, &all).await.unwrap().items;
        let theirs = all_there_are.iter().find(|delivery| delivery.destination == "ops-mail").unwrap();
        assert!(tx.delivery(&scope, &theirs.id).await.unwrap().is_none());
        let of_event = DeliveryFilter { event_id: Some(theirs.event_id.clone()), ..all };
        assert!(tx.deliveries(&scope, &of_event).await.unwrap().items.is_empty());
    }

    async fn what_is_in_memory_is_paged_as_well(db: Db) {
        let app = TestApp::new(db, "").await;
        for name in ["ops", "ads", "web"] {
            app.post_api("/api/v1/teams", serde_json::json!({ "name": name })).await.expect(201);
        }
        let mut seen = Vec::new();
        let mut path = "/api/v1/teams?limit=2".to_owned();
        loop {
            let page = app.get(&path).await.expect(200);
            assert!(page.items().len() <= 2);
            seen.extend(page.items().iter().map(|team| team["name"].as_str().unwrap().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            path = format!("/api/v1/teams?limit=2&cursor={next}");
        }
        assert_eq!(seen, ["ads", "ops", "web"]);
        for list in ["sources", "destinations", "subscriptions", "teams", "keys"] {
            app.get(&format!("/api/v1/{list}?limit=0")).await.expect(422);
            app.get(&format!("/api/v1/{list}?nmae=x")).await.expect(422);
            app.get(&format!("/api/v1/{list}?limit=1")).await.expect(200);
        }
    }
}
