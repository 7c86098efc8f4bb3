//! Every route against every role: what each may do, and that nothing of another team is ever in an answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use callboard::http::api::ROUTES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN_KEY, Answer, Db, TOKEN, TestApp, answer, both, evolink};
use crate::sink::Sink;

/// Statuses in the order of [`World::callers`]: an administrator; of the team whose things are asked for `manage`; of
/// another team `manage`; of the team `read`, and `relay`.
type Expected = [u16; 5];

const SEEN_BY_ALL: Expected = [200, 200, 200, 200, 403];
const OF_THE_TEAM: Expected = [200, 200, 404, 200, 403];
const CHANGED_BY_THE_TEAM: Expected = [200, 200, 404, 403, 403];
const MADE_BY_THE_TEAM: Expected = [201, 201, 422, 403, 403];
const REMOVED_BY_THE_TEAM: Expected = [204, 204, 404, 403, 403];
const TOLD_BY_THE_TEAM: Expected = [202, 202, 404, 403, 403];
const TOLD_BY_EACH_TEAM: Expected = [202, 202, 202, 403, 403];
const MADE_BY_ADMIN: Expected = [201, 403, 403, 403, 403];
const CHANGED_BY_ADMIN: Expected = [200, 403, 403, 403, 403];
const REMOVED_BY_ADMIN: Expected = [204, 403, 403, 403, 403];

/// Each route, what its placeholders stand for, what is sent, and who is answered how. What is in braces is made anew
/// for each request, `{n}` is a number that nothing had before.
fn table(sink: &str) -> Vec<(&'static str, &'static str, &'static str, Value, Expected)> {
    let webhook = json!({"url": sink});
    let destination = json!({"name": "alpha-{n}", "team": "alpha", "channel": "webhook", "url": sink});
    let subscription = json!({"destination": "alpha-hook"});
    let source = json!({"name": "alpha-{n}", "provider": "evolink", "teams": ["alpha"]});
    let key = json!({"name": "alpha", "role": "read", "team": "alpha"});
    let replay = json!({"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"});
    let nothing = || json!({});
    vec![
        ("get", "/events", "/events", nothing(), SEEN_BY_ALL),
        ("get", "/events/{id}", "/events/EVENT", nothing(), OF_THE_TEAM),
        ("post", "/events/{id}/replay", "/events/EVENT/replay", nothing(), TOLD_BY_THE_TEAM),
        // Refused for what it asks, where it may be asked: there is no end of it otherwise.
        ("get", "/events/stream", "/events/stream?last_event_id=none", nothing(), [422, 422, 422, 422, 403]),
        ("get", "/replays", "/replays", nothing(), SEEN_BY_ALL),
        ("post", "/replays", "/replays", replay, TOLD_BY_EACH_TEAM),
        ("get", "/replays/{id}", "/replays/{replay}", nothing(), OF_THE_TEAM),
        ("post", "/replays/{id}/cancel", "/replays/{replay}/cancel", nothing(), TOLD_BY_THE_TEAM),
        ("get", "/deliveries", "/deliveries", nothing(), SEEN_BY_ALL),
        ("get", "/deliveries/{id}", "/deliveries/DELIVERY", nothing(), OF_THE_TEAM),
        ("post", "/deliveries/{id}/retry", "/deliveries/DELIVERY/retry", nothing(), TOLD_BY_THE_TEAM),
        ("post", "/deliveries/{id}/give-up", "/deliveries/{delivery}/give-up", nothing(), TOLD_BY_THE_TEAM),
        ("get", "/tasks", "/tasks", nothing(), SEEN_BY_ALL),
        ("post", "/tasks", "/tasks", json!({"source": "alpha-src", "task_id": "alpha-{n}"}), [201, 201, 422, 403, 201]),
        ("get", "/tasks/{source}/{task_id:.*}", "/tasks/alpha-src/alpha-task", nothing(), OF_THE_TEAM),
        ("get", "/callbacks", "/callbacks", nothing(), SEEN_BY_ALL),
        ("get", "/callbacks/{id}", "/callbacks/CALLBACK", nothing(), OF_THE_TEAM),
        ("get", "/callbacks/{id}/body", "/callbacks/CALLBACK/body", nothing(), OF_THE_TEAM),
        ("post", "/callbacks/{id}/reprocess", "/callbacks/CALLBACK/reprocess", nothing(), TOLD_BY_THE_TEAM),
        ("get", "/sources", "/sources", nothing(), SEEN_BY_ALL),
        ("post", "/sources", "/sources", source, MADE_BY_ADMIN),
        ("get", "/sources/{name}", "/sources/alpha-src", nothing(), OF_THE_TEAM),
        ("put", "/sources/{name}", "/sources/{source}", json!({"teams": ["alpha"]}), CHANGED_BY_ADMIN),
        ("delete", "/sources/{name}", "/sources/{source}", nothing(), REMOVED_BY_ADMIN),
        ("post", "/sources/{name}/token", "/sources/{source}/token", nothing(), MADE_BY_ADMIN),
        ("delete", "/sources/{name}/tokens/{id}", "/sources/{token}", nothing(), REMOVED_BY_ADMIN),
        ("get", "/destinations", "/destinations", nothing(), SEEN_BY_ALL),
        ("post", "/destinations", "/destinations", destination, MADE_BY_THE_TEAM),
        ("get", "/destinations/{name}", "/destinations/alpha-hook", nothing(), OF_THE_TEAM),
        ("put", "/destinations/{name}", "/destinations/{destination}", webhook, CHANGED_BY_THE_TEAM),
        ("delete", "/destinations/{name}", "/destinations/{destination}", nothing(), REMOVED_BY_THE_TEAM),
        ("post", "/destinations/{name}/test", "/destinations/alpha-hook/test", nothing(), CHANGED_BY_THE_TEAM),
        ("post", "/destinations/{name}/enable", "/destinations/alpha-hook/enable", nothing(), CHANGED_BY_THE_TEAM),
        (
            "post",
            "/destinations/{name}/secret",
            "/destinations/{destination}/secret",
            nothing(),
            [201, 201, 404, 403, 403],
        ),
        ("get", "/subscriptions", "/subscriptions", nothing(), SEEN_BY_ALL),
        ("post", "/subscriptions", "/subscriptions", subscription.clone(), MADE_BY_THE_TEAM),
        ("get", "/subscriptions/{id}", "/subscriptions/{subscription}", nothing(), OF_THE_TEAM),
        ("put", "/subscriptions/{id}", "/subscriptions/{subscription}", subscription, CHANGED_BY_THE_TEAM),
        ("delete", "/subscriptions/{id}", "/subscriptions/{subscription}", nothing(), REMOVED_BY_THE_TEAM),
        ("get", "/teams", "/teams", nothing(), SEEN_BY_ALL),
        ("post", "/teams", "/teams", json!({"name": "alpha-{n}"}), MADE_BY_ADMIN),
        ("get", "/teams/{name}", "/teams/alpha", nothing(), OF_THE_TEAM),
        ("put", "/teams/{name}", "/teams/alpha", json!({"description": "alpha"}), CHANGED_BY_ADMIN),
        ("delete", "/teams/{name}", "/teams/{team}", nothing(), REMOVED_BY_ADMIN),
        ("get", "/keys", "/keys", nothing(), [200, 200, 200, 403, 403]),
        ("post", "/keys", "/keys", key, MADE_BY_THE_TEAM),
        ("get", "/keys/{id}", "/keys/{key}", nothing(), CHANGED_BY_THE_TEAM),
        ("put", "/keys/{id}", "/keys/{key}", json!({"name": "alpha"}), CHANGED_BY_THE_TEAM),
        ("delete", "/keys/{id}", "/keys/{key}", nothing(), REMOVED_BY_THE_TEAM),
        ("get", "/stats", "/stats", nothing(), SEEN_BY_ALL),
        ("get", "/audit", "/audit", nothing(), [200, 200, 200, 403, 403]),
    ]
}

/// Two teams, each with a source, a destination, a subscription, a task, and keys; each thing has its team's name in it.
struct World {
    app: TestApp,
    /// Those of [`Expected`], then those that hold no more.
    callers: Vec<(&'static str, Option<String>)>,
    made: AtomicUsize,
    event: String,
    delivery: String,
    callback: String,
}

pub(crate) async fn call(app: &TestApp, key: Option<&str>, method: &str, path: &str, body: &Value) -> Answer {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let mut request = app.client.request(method, app.url(&format!("/api/v1{path}"))).body(body.to_string());
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    answer(request).await
}

/// A key of this role and team, made by the administrator.
pub(crate) async fn key(app: &TestApp, role: &str, team: Option<&str>, expires_at: Option<&str>) -> Answer {
    let name = format!("{}-{role}", team.unwrap_or("all"));
    let body = json!({"name": name, "role": role, "team": team, "expires_at": expires_at});
    app.post_api("/api/v1/keys", body).await.expect(201)
}

impl World {
    async fn new(db: Db, sink: &Sink) -> Self {
        let mut app = TestApp::new(db, "").await;
        for team in ["alpha", "bravo"] {
            app.post_api("/api/v1/teams", json!({"name": team})).await.expect(201);
            let source = json!({"name": format!("{team}-src"), "provider": "evolink", "teams": [team],
                "callback_token": TOKEN, "base_url": sink.url()});
            app.post_api("/api/v1/sources", source).await.expect(201);
            let name = format!("{team}-hook");
            let destination = json!({"name": name, "team": team, "channel": "webhook", "url": sink.url()});
            app.post_api("/api/v1/destinations", destination).await.expect(201);
            let subscription = json!({"destination": name, "sources": [format!("{team}-src")]});
            app.post_api("/api/v1/subscriptions", subscription).await.expect(201);
            let posted = evolink(&format!("{team}-task"), "completed");
            app.post(&format!("{team}-src"), "", posted, &[]).await.expect(200);
        }
        assert_eq!(app.tick_all().await, 2);
        let of = async |path: &str| app.get(path).await.expect(200).items()[0]["id"].as_str().unwrap().to_owned();
        let event = of("/api/v1/events?source=alpha-src").await;
        let delivery = of("/api/v1/deliveries?destination=alpha-hook").await;
        let callback = of("/api/v1/callbacks?source=alpha-src").await;
        app.database
            .execute(&format!(
                "UPDATE deliveries SET status = 'dead', finished_at = 1, due_at = NULL WHERE id = '{delivery}'"
            ))
            .await;
        let mut callers = vec![("admin", Some(ADMIN_KEY.to_owned()))];
        for (team, role) in [("alpha", "manage"), ("bravo", "manage"), ("alpha", "read"), ("alpha", "relay")] {
            let made = key(&app, role, Some(team), None).await;
            callers.push((if team == "bravo" { "bravo" } else { role }, Some(made.text("key").to_owned())));
        }
        let (expired, revoked) =
            (key(&app, "admin", None, Some("2026-04-01T00:00:01Z")).await, key(&app, "admin", None, None).await);
        app.advance(std::time::Duration::from_secs(1));
        call(&app, Some(ADMIN_KEY), "delete", &format!("/keys/{}", revoked.text("id")), &json!({})).await.expect(204);
        callers.push(("none", None));
        callers.push(("expired", Some(expired.text("key").to_owned())));
        callers.push(("revoked", Some(revoked.text("key").to_owned())));
        Self { app, callers, made: AtomicUsize::new(0), event, delivery, callback }
    }

    fn number(&self) -> String {
        self.made.fetch_add(1, Ordering::Relaxed).to_string()
    }

    async fn make(&self, noun: &str, body: Value) -> Answer {
        self.app.post_api(&format!("/api/v1/{noun}"), body).await.expect(201)
    }

    /// A path with what it needs made anew.
    async fn path(&self, template: &str, sink: &Sink) -> String {
        let fixed = template.replace("EVENT", &self.event).replace("DELIVERY", &self.delivery);
        let fixed = fixed.replace("CALLBACK", &self.callback);
        let Some((before, rest)) = fixed.split_once('{') else { return fixed };
        let (what, after) = rest.split_once('}').unwrap();
        let name = format!("alpha-fresh-{}", self.number());
        let made = match what {
            "source" | "token" => {
                self.make("sources", json!({"name": name, "provider": "evolink", "teams": ["alpha"]})).await;
                match what {
                    "token" => {
                        let token = self.app.post_api(&format!("/api/v1/sources/{name}/token"), json!({})).await;
                        format!("{name}/tokens/{}", token.expect(201).text("token_id"))
                    }
                    _ => name,
                }
            }
            "destination" => {
                let body = json!({"name": name, "team": "alpha", "channel": "webhook", "url": sink.url()});
                self.make("destinations", body).await.text("name").to_owned()
            }
            "subscription" => {
                let body = json!({"destination": "alpha-hook", "where": "task.model == \"alpha\""});
                self.make("subscriptions", body).await.text("id").to_owned()
            }
            "replay" => {
                let body = json!({"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"});
                let made = call(&self.app, self.callers[1].1.as_deref(), "post", "/replays", &body).await;
                made.expect(202).text("id").to_owned()
            }
            "delivery" => {
                let path = format!("/api/v1/events/{}/replay", self.event);
                let told = self.app.post_api(&path, json!({"destination": "alpha-hook"})).await.expect(202);
                told.body["deliveries"][0].as_str().unwrap().to_owned()
            }
            "team" => self.make("teams", json!({"name": name})).await.text("name").to_owned(),
            "key" => {
                self.make("keys", json!({"name": name, "role": "read", "team": "alpha"})).await.text("id").to_owned()
            }
            other => panic!("what is {other}?"),
        };
        format!("{before}{made}{after}")
    }
}

both! {
    async fn each_role_may_do_what_it_is_for_and_sees_nothing_of_another_team(db: Db) {
        let sink = Sink::start().await;
        let world = World::new(db, &sink).await;
        for (method, route, template, body, expected) in table(&sink.url()) {
            for (at, (caller, key)) in world.callers.iter().enumerate() {
                let path = world.path(template, &sink).await;
                let body: Value = serde_json::from_str(&body.to_string().replace("{n}", &world.number())).unwrap();
                let answered = call(&world.app, key.as_deref(), method, &path, &body).await;
                let wanted = expected.get(at).copied().unwrap_or(401);
                let said = String::from_utf8_lossy(&answered.bytes).into_owned();
                assert_eq!(answered.status, wanted, "{caller}: {method} {route} as {path}: {said}");
                let foreign = match *caller {
                    "admin" => continue,
                    // What was sent is repeated where it is refused.
                    "bravo" if body.to_string().contains("alpha") => continue,
                    "bravo" => "alpha",
                    _ => "bravo",
                };
                assert!(!said.contains(foreign), "{caller} is told of {foreign}: {method} {path}: {said}");
            }
        }
    }

    async fn each_role_relays_to_the_sources_that_it_sees(db: Db) {
        let sink = Sink::start().await;
        let world = World::new(db, &sink).await;
        let expected = [200, 200, 404, 403, 200, 401, 401, 401];
        for ((caller, key), wanted) in world.callers.iter().zip(expected) {
            let before = sink.count();
            let mut request = world.app.client.get(world.app.url("/relay/alpha-src/v1/credits"));
            if let Some(key) = key {
                request = request.header("x-callboard-key", key);
            }
            assert_eq!(answer(request).await.status, wanted, "{caller}");
            assert_eq!(sink.count() - before, usize::from(wanted == 200), "{caller}");
        }
    }
}

#[test]
fn every_route_has_its_row() {
    let mut routes: Vec<(&str, &str)> = ROUTES.to_vec();
    let mut rows: Vec<(&str, &str)> = table("").into_iter().map(|(method, route, ..)| (method, route)).collect();
    routes.sort_unstable();
    rows.sort_unstable();
    assert_eq!(rows, routes);
    // A row asks for the route that it stands for.
    for (_, route, template, ..) in table("") {
        let depth = |path: &str| path.matches('/').count();
        assert!(template.contains("{token}") || depth(route) == depth(template), "{route} {template}");
    }
}
