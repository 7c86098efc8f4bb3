//! The stream: every event that a key may see, once, in the order of the commits, from wherever the client was.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{ADMIN_KEY, Answer, Db, TestApp, answer, both, evolink};
use crate::record::PATIENCE;

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Frame {
    id: Option<String>,
    event: Option<String>,
    data: String,
    comments: Vec<String>,
    retry: Option<String>,
}

/// Reads the whole frames of a text; what is cut off at its end is none.
fn frames(text: &str) -> Vec<Frame> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let blocks = whole.split("\n\n").filter(|block| !block.is_empty());
    blocks.map(frame).collect()
}

fn frame(block: &str) -> Frame {
    let mut frame = Frame::default();
    for line in block.lines() {
        match line.split_once(": ").unwrap_or_else(|| panic!("{line}")) {
            ("", comment) => frame.comments.push(comment.to_owned()),
            ("id", id) => frame.id = Some(id.to_owned()),
            ("event", event) => frame.event = Some(event.to_owned()),
            ("retry", retry) => frame.retry = Some(retry.to_owned()),
            ("data", data) => frame.data.push_str(data),
            other => panic!("{other:?}"),
        }
    }
    frame
}

/// An open stream.
struct Stream {
    response: reqwest::Response,
    text: String,
    /// So much of it was given out as frames.
    read: usize,
}

impl Stream {
    async fn open(app: &TestApp, key: &str, query: &str, last: Option<&str>) -> Self {
        let request = app.client.get(app.url(&format!("/api/v1/events/stream?{query}"))).bearer_auth(key);
        let request = if let Some(last) = last { request.header("last-event-id", last) } else { request };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, text: String::new(), read: 0 }
    }

    async fn admin(app: &TestApp, query: &str, last: Option<&str>) -> Self {
        Self::open(app, ADMIN_KEY, query, last).await
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.text[self.read..].find("\n\n") {
                let block = frame(&self.text[self.read..self.read + end]);
                self.read += end + 2;
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("the stream says nothing");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next frame that is no comment.
    async fn event(&mut self) -> Frame {
        loop {
            let frame = self.next().await.expect("the stream ended");
            if frame.event.is_some() {
                return frame;
            }
        }
    }

    async fn ids(&mut self, many: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < many {
            ids.push(self.event().await.id.unwrap());
        }
        ids
    }

    /// Waits until it has heard all that there was.
    async fn caught_up(&mut self) {
        while self.next().await.expect("the stream ended").comments.iter().all(|comment| !comment.starts_with("at ")) {}
    }

    /// What comes until the end.
    async fn rest(&mut self) -> Vec<Frame> {
        let mut rest = Vec::new();
        while let Some(frame) = self.next().await {
            rest.push(frame);
        }
        rest
    }
}

async fn completed(app: &TestApp, task_id: &str) -> String {
    app.evolink(task_id, "completed").await.expect(200).text("event_id").to_owned()
}

async fn refused(app: &TestApp, key: &str, query: &str) -> Answer {
    app.with_key(key, Method::GET, &format!("/api/v1/events/stream?{query}"), Value::Null).await
}

/// One team may see EvoLink and another all.
const TEAMS: &str = r#"
[sources.evolink]
provider = "evolink"
callback_token = "token-of-the-tests-1"
teams = ["ops"]
[sources.aivideoapi]
provider = "aivideoapi"
callback_token = "token-of-the-tests-1"
[destinations.ops-hook]
team = "ops"
channel = "webhook"
url = "http://127.0.0.1:9/ops"
[destinations.ads-hook]
team = "ads"
channel = "webhook"
url = "http://127.0.0.1:9/ads"
"#;

both! {
    async fn it_begins_with_now_and_gives_the_bytes_that_are_told(db: Db) {
        let app = TestApp::new(db, "").await;
        completed(&app, "before").await;
        let mut stream = Stream::admin(&app, "", None).await;
        let header = |name: &str| stream.response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!([header("content-type"), header("cache-control")], ["text/event-stream", "no-store"]);
        let greeting = stream.next().await.unwrap();
        assert_eq!((greeting.retry.as_deref(), greeting.comments.len()), (Some("2000"), 1));
        let beat = stream.next().await.unwrap();
        assert_eq!(beat.comments, ["at 2026-04-01T00:00:00Z"], "the time is told at once");

        let first = completed(&app, "one").await;
        app.evolink("two", "processing").await.expect(200);
        let frames = [stream.event().await, stream.event().await];
        assert_eq!(frames[0].id.as_deref(), Some(first.as_str()));
        assert_eq!(frames[1].event.as_deref(), Some("task.processing"));
        let list = app.get("/api/v1/events?limit=1&task_id=one").await.expect(200);
        assert!(String::from_utf8(list.bytes).unwrap().contains(&frames[0].data), "byte for byte");
        let told: Value = serde_json::from_str(&frames[0].data).unwrap();
        assert_eq!((&told["data"]["task_id"], &told["id"]), (&json!("one"), &json!(first)));
    }

    async fn a_client_that_is_cut_off_anywhere_resumes_without_a_gap(db: Db) {
        let app = TestApp::new(db, "").await;
        let first = completed(&app, "first").await;
        let posted = join_all((0..60).map(async |n| app.evolink(&format!("t{n}"), "completed").await)).await;
        let ids = posted.into_iter().map(|answer| answer.expect(200).text("event_id").to_owned());
        let made: BTreeSet<String> = ids.collect();
        let (mut last, mut seen) = (first, Vec::new());
        let mut cut = 700;
        while seen.len() < made.len() {
            let mut stream = Stream::admin(&app, "", Some(&last)).await;
            while stream.text.len() < cut {
                let chunk = tokio::time::timeout(PATIENCE, stream.response.chunk()).await.unwrap();
                stream.text.push_str(std::str::from_utf8(&chunk.unwrap().unwrap()).unwrap());
                if frames(&stream.text).iter().filter(|frame| frame.id.is_some()).count() + seen.len() == made.len() {
                    break;
                }
            }
            // It dies in the middle of whatever it was reading.
            stream.text.truncate(cut);
            let ids: Vec<String> = frames(&stream.text).into_iter().filter_map(|frame| frame.id).collect();
            last = ids.last().cloned().unwrap_or(last);
            seen.extend(ids);
            cut += 311;
        }
        assert_eq!(seen.len(), made.len(), "some came twice");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
    }

    async fn nothing_is_skipped_while_many_are_posted(db: Db) {
        const MANY: usize = 300;
        let app = TestApp::new(db, "").await;
        let mut live = Stream::admin(&app, "", None).await;
        live.caught_up().await;
        let tasks: Vec<String> = (0..MANY).map(|n| format!("t{n}")).collect();
        let posting = async {
            let mut made = BTreeSet::new();
            for some in tasks.chunks(50) {
                let posted = join_all(some.iter().map(|task| app.evolink(task, "completed"))).await;
                made.extend(posted.into_iter().map(|answer| answer.expect(200).text("event_id").to_owned()));
            }
            made
        };
        let (made, seen) = tokio::join!(posting, live.ids(MANY));
        assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), made);
        // Whoever comes later hears the same in the same order.
        let mut again = Stream::admin(&app, "", Some(&seen[0])).await;
        assert_eq!(again.ids(MANY - 1).await, seen[1..]);
    }

    async fn only_what_is_wanted_and_may_be_seen_is_told(db: Db) {
        let app = TestApp::new(db, TEAMS).await;
        let (ops, ads) = (app.make_key("read", Some("ops")).await, app.make_key("manage", Some("ads")).await);
        let mut of_ops = Stream::open(&app, &ops, "type=task.completed,task.failed&type=task.overdue", None).await;
        let mut of_ads = Stream::open(&app, &ads, "", None).await;
        let mut of_source = Stream::admin(&app, "source=aivideoapi", None).await;
        for stream in [&mut of_ops, &mut of_ads, &mut of_source] {
            stream.caught_up().await;
        }
        app.evolink("a", "processing").await.expect(200);
        let seen_by_ops = completed(&app, "b").await;
        let body = crate::process::body_of("aivideoapi/completed.http");
        let of_other = app.post("aivideoapi", "", body, &[]).await.expect(200);
        let of_other = of_other.text("event_id");
        assert_eq!(of_ops.ids(2).await, [seen_by_ops.as_str(), of_other]);
        assert_eq!(of_ads.ids(1).await, [of_other], "the other source does not exist for this team");
        assert_eq!(of_source.ids(1).await, [of_other]);
    }

    async fn who_may_not_listen_or_asks_for_nonsense_is_told_so(db: Db) {
        let app = TestApp::new(db, TEAMS).await;
        let relay = app.make_key("relay", Some("ops")).await;
        refused(&app, "cbk_nobody", "").await.expect(401);
        refused(&app, &relay, "").await.expect(403);
        for (query, field) in [
            ("type=task.done", "type"),
            ("last_event_id=evt_1", "last_event_id"),
            ("listener=A+B", "listener"),
            ("sorce=evolink", "sorce"),
        ] {
            let problem = refused(&app, ADMIN_KEY, query).await.expect(422);
            assert_eq!(problem.text("field"), field);
        }
        let request = app.client.get(app.url("/api/v1/events/stream")).bearer_auth(ADMIN_KEY);
        let problem = answer(request.header("last-event-id", "17")).await.expect(422);
        assert_eq!(problem.text("field"), "Last-Event-ID");
        // An empty one is that of a client that has heard nothing yet.
        Stream::admin(&app, "", Some("")).await.caught_up().await;
    }

    async fn it_ends_when_its_key_does(db: Db) {
        let app = TestApp::new(db, TEAMS).await;
        let (revoked, expiring) = (app.make_key("read", Some("ops")).await, app.make_key("read", Some("ops")).await);
        let mut first = Stream::open(&app, &revoked, "", None).await;
        let mut second = Stream::open(&app, &expiring, "", None).await;
        first.caught_up().await;
        second.caught_up().await;
        let id = |key: &str| key.trim_start_matches("cbk_").to_owned();
        app.database.execute(&format!("UPDATE keys SET revoked_at = 1 WHERE id = '{}'", id(&revoked))).await;
        let end = first.rest().await;
        assert_eq!(end.last().unwrap().comments, ["this key no longer holds"]);
        let expires_at = app.now().0 + 60_000;
        let expires = format!("UPDATE keys SET expires_at = {expires_at} WHERE id = '{}'", id(&expiring));
        app.database.execute(&expires).await;
        let told = completed(&app, "t").await;
        assert_eq!(second.event().await.id, Some(told));
        app.advance(Duration::from_secs(60));
        completed(&app, "u").await;
        let rest = second.rest().await;
        assert!(rest.iter().all(|frame| frame.id.is_none()), "an event was told to a key that had expired");
    }

    async fn it_ends_with_the_process(db: Db) {
        let mut app = TestApp::new(db, "").await;
        let mut stream = Stream::admin(&app, "", None).await;
        stream.caught_up().await;
        app.stop().await;
        assert!(stream.rest().await.iter().all(|frame| frame.event.is_none()));
    }

    async fn too_many_with_one_key_are_refused_and_room_comes_back(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut open = join_all((0..32).map(|_| Stream::admin(&app, "", None))).await;
        let full = refused(&app, ADMIN_KEY, "").await.expect(429);
        assert!(full.text("detail").contains("32") && full.header("retry-after").is_some(), "{full:?}");
        let other = app.make_key("admin", None).await;
        Stream::open(&app, &other, "", None).await.caught_up().await;
        drop(open.pop());
        // It is noticed when something is to be written.
        for n in 0.. {
            completed(&app, &format!("t{n}")).await;
            let request = app.client.get(app.url("/api/v1/events/stream")).bearer_auth(ADMIN_KEY);
            if request.send().await.unwrap().status() == 200 {
                break;
            }
        }
    }

    async fn who_reads_slowly_holds_up_nobody_and_misses_nothing(db: Db) {
        const MANY: usize = 120;
        let app = TestApp::new(db, "").await;
        let mut slow = Stream::admin(&app, "", None).await;
        let mut quick = Stream::admin(&app, "", None).await;
        slow.caught_up().await;
        quick.caught_up().await;
        // More than any buffer between here and there: 24 MB.
        let long = "x".repeat(200_000);
        let mut made = Vec::new();
        for n in 0..MANY {
            let body = evolink(&format!("t{n}"), "completed").replace("a.mp4", &format!("{long}.mp4"));
            made.push(app.post("evolink", "", body, &[]).await.expect(200).text("event_id").to_owned());
        }
        assert_eq!(quick.ids(MANY).await, made);
        assert_eq!(slow.ids(MANY).await, made);
    }

    async fn after_an_event_that_was_pruned_it_goes_on_with_the_nearest(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(completed(&app, &format!("t{n}")).await);
            app.advance(Duration::from_secs(300));
        }
        app.database.execute(&format!("DELETE FROM events WHERE id IN ('{}', '{}')", made[0], made[2])).await;
        let mut stream = Stream::admin(&app, "", Some(&made[2])).await;
        assert_eq!(stream.ids(2).await, made[3..]);
        let mut stream = Stream::admin(&app, "", Some(&made[0])).await;
        assert_eq!(stream.ids(3).await, [&made[1], &made[3], &made[4]].map(String::clone));
    }

    async fn a_replay_reaches_the_listener_that_it_is_aimed_at(db: Db) {
        let app = TestApp::new(db, TEAMS).await;
        let (ops, ads) = (app.make_key("manage", Some("ops")).await, app.make_key("read", Some("ads")).await);
        let event = completed(&app, "t").await;
        let path = format!("/api/v1/events/{event}/replay");
        let aim = async |key: &str, name: &str| {
            let made = app.with_key(key, Method::POST, &path, json!({"listener": name})).await.expect(202);
            assert_eq!((made.text("event_id"), &made.body["deliveries"]), (event.as_str(), &json!([])));
            made.text("replay_id").to_owned()
        };
        let aimed = |frame: Frame| {
            assert_eq!((frame.event.as_deref(), frame.id), (Some("replay"), None));
            let data: Value = serde_json::from_str(&frame.data).unwrap();
            assert_eq!(data["event"]["id"], json!(event));
            data["replay_id"].as_str().unwrap().to_owned()
        };
        // Before anybody listens, and while somebody does.
        let early = aim(&ops, "anna").await;
        aim(&ops, "berta").await;
        let mut stream = Stream::open(&app, &ops, "listener=anna&type=task.failed", None).await;
        assert_eq!(aimed(stream.event().await), early);
        let mut beside = Stream::open(&app, ADMIN_KEY, "listener=anna", None).await;
        stream.caught_up().await;
        beside.caught_up().await;
        let late = aim(&ops, "anna").await;
        assert_eq!(aimed(stream.event().await), late);
        let of_admin = aim(ADMIN_KEY, "anna").await;
        assert_eq!(aimed(stream.event().await), of_admin);
        // Who listens by the same name hears what comes now as well.
        assert_eq!(aimed(beside.event().await), late);
        assert_eq!(aimed(beside.event().await), of_admin);

        // Of another team, whose key may not see it; and a name that waited for more than a day.
        let mut other = Stream::open(&app, &ads, "listener=anna", None).await;
        other.caught_up().await;
        app.advance(Duration::from_secs(24 * 60 * 60 + 1));
        let mut too_late = Stream::open(&app, &ops, "listener=berta", None).await;
        too_late.caught_up().await;
        let after = completed(&app, "u").await;
        assert_eq!(too_late.event().await.id, Some(after));
        let twice = json!({"listener": "anna", "destination": "ops-hook"});
        assert_eq!(app.with_key(&ops, Method::POST, &path, twice).await.expect(422).text("field"), "listener");
    }
}
