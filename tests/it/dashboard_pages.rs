//! The dashboard's pages: what each key sees of them, and that nothing of a provider's words is more than a text.

use callboard::domain::access::Right;
use callboard::http::PAGES;
use serde_json::{Value, json};

use crate::access::key;
use crate::app::{ADMIN_KEY, Db, TOKEN, TestApp, both};
use crate::dashboard::{Browser, Shown};
use crate::record::PATIENCE;
use crate::sink::Sink;

/// What would run, or break out of where it stands, if it were not escaped.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

/// A callback in which each field that its sender can choose is hostile.
fn hostile(task_id: &str) -> String {
    json!({"id": task_id, "status": "failed", "model": HOSTILE, "progress": 100, "results": [],
        "error": {"code": HOSTILE, "message": HOSTILE}})
    .to_string()
}

/// Two teams, each with a source, a destination and a task; each thing has its team's name in it.
async fn world(db: Db, sink: &Sink) -> (TestApp, Browser, Browser) {
    let mut app = TestApp::new(db, "").await;
    let mut browsers = Vec::new();
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
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(&format!("{team}-{HOSTILE}"), HOSTILE)
            .append_pair("campaign", &format!("{team}-spring"))
            .finish();
        let task_id = format!("{team}-task {HOSTILE}");
        app.post(&format!("{team}-src"), &query, hostile(&task_id), &[("x-hostile", HOSTILE)]).await.expect(200);
        let read = key(&app, "read", Some(team), None).await;
        browsers.push(Browser::signed_in(&app, read.text("key")).await);
    }
    app.tick_all().await;
    let bravo = browsers.pop().unwrap();
    (app, browsers.pop().unwrap(), bravo)
}

/// The address of each page, with what is alpha's in its places.
async fn addresses(app: &TestApp) -> Vec<String> {
    let id = async |path: &str| -> String {
        let list = app.get(path).await.expect(200);
        list.items()[0]["id"].as_str().unwrap().to_owned()
    };
    let event = id("/api/v1/events?source=alpha-src").await;
    let callback = id("/api/v1/callbacks?source=alpha-src").await;
    let delivery = id("/api/v1/deliveries?destination=alpha-hook").await;
    let task_id: String = format!("alpha-task {HOSTILE}").bytes().map(|byte| format!("%{byte:02X}")).collect();
    let shown = PAGES.iter().filter(|(method, right, path)| {
        *method == "GET" && *right == Right::Read && *path != "/ui/live" && !path.starts_with("/ui/replays/")
    });
    shown
        .map(|(_, _, path)| {
            let id = match *path {
                path if path.starts_with("/ui/events/") => &event,
                path if path.starts_with("/ui/callbacks/") => &callback,
                path if path.starts_with("/ui/deliveries/") => &delivery,
                path if path.starts_with("/ui/sources/") => "alpha-src",
                path if path.starts_with("/ui/destinations/") => "alpha-hook",
                _ => "",
            };
            path.replace("{id}", id)
                .replace("{name}", id)
                .replace("{source}", "alpha-src")
                .replace("{task_id:.*}", &task_id)
        })
        .collect()
}

/// Nothing on the page runs but our own file.
fn is_harmless(path: &str, page: &Shown) {
    let body = &page.body;
    assert!(!body.contains("<script>") && !body.contains("<img src=x"), "{path}: {body}");
    assert_eq!(body.matches("<script").count(), body.matches("<script src=\"/ui/assets/").count(), "{path}");
    for inline in [" style=\"", " onerror=\"", " onclick=\"", "javascript:"] {
        assert!(!body.contains(inline), "{path}: {inline}");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
}

both! {
    async fn each_page_is_shown_to_whom_it_concerns_and_to_nobody_else(db: Db) {
        let sink = Sink::start().await;
        let (app, alpha, bravo) = world(db, &sink).await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let nobody = Browser::new(&app);
        for path in addresses(&app).await {
            nobody.get(&path).await.expect(303);
            let is_one = path.matches('/').count() > 2;
            let mine = alpha.get(&path).await.expect(200);
            admin.get(&path).await.expect(200);
            let theirs = bravo.get(&path).await.expect(if is_one { 404 } else { 200 });
            if path.ends_with("/body") {
                assert_eq!(mine.header("content-type"), "application/octet-stream");
                assert!(mine.header("content-disposition").starts_with("attachment"), "{mine:?}");
                continue;
            }
            assert!(mine.body.contains("alpha") && !mine.body.contains("bravo"), "{path}: {}", mine.body);
            // What was asked for is repeated in the form that chooses a language.
            let said = theirs.body.lines().filter(|line| !line.contains("name=\"back\"")).collect::<String>();
            assert!(!said.contains("alpha"), "{path}: {said}");
            is_harmless(&path, &mine);
            is_harmless(&path, &theirs);
            for (name, value) in
                [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-store")]
            {
                assert_eq!(mine.header(name), value, "{path}");
            }
        }
    }

    async fn what_is_looked_for_is_found(db: Db) {
        let sink = Sink::start().await;
        let (app, alpha, _) = world(db, &sink).await;
        let post = async |id: &str, status, model, query: &str| {
            let body = json!({"id": id, "status": status, "model": model, "results": ["https://r.example/a.png"]});
            app.post("alpha-src", query, body.to_string(), &[]).await.expect(200);
        };
        post("one", "completed", "m1", "campaign=summer").await;
        post("two", "completed", "m2", "campaign=winter").await;
        let found = async |path: &str, ids: &[&str]| {
            let page = alpha.get(path).await.expect(200).body;
            for id in ["one", "two"] {
                assert_eq!(page.contains(&format!("/ui/tasks/alpha-src/{id}\"")), ids.contains(&id), "{path}: {id}");
            }
            page
        };
        for list in ["/", "/ui/tasks"] {
            found(list, &["one", "two"]).await;
            found(&format!("{list}?q=campaign%3Dsummer"), &["one"]).await;
            found(&format!("{list}?q=two"), &["two"]).await;
            found(&format!("{list}?model=m2"), &["two"]).await;
            found(&format!("{list}?q=campaign%3Dsummer&model=m2"), &[]).await;
            found(&format!("{list}?source=alpha-src&q="), &["one", "two"]).await;
            let newest = found(&format!("{list}?limit=1"), &["two"]).await;
            let (_, older) = newest.split_once("rel=\"next\"").map(|(before, _)| before.rsplit_once("href=\"").unwrap()).unwrap();
            found(&older.trim_end_matches("\" ").replace("&#38;", "&").replace("&amp;", "&"), &["one"]).await;
            alpha.get(&format!("{list}?since=yesterday")).await.expect(422);
            alpha.get(&format!("{list}?nothing=1")).await.expect(422);
        }
        let page = found("/?type=task.completed", &["one", "two"]).await;
        assert!(page.contains("<img src=\"https://r.example/a.png\" alt=\"\" loading=\"lazy\""), "{page}");
    }

    async fn events_arrive_as_lines_while_their_visitor_is_signed_in(db: Db) {
        let sink = Sink::start().await;
        let (app, alpha, _) = world(db, &sink).await;
        let mut stream = alpha.open("/ui/live?q=campaign%3Dspring").await;
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        // A piece may end within a character.
        let mut come = Vec::new();
        let mut until = async |wanted: &str| loop {
            let text = String::from_utf8_lossy(&come).into_owned();
            if text.contains(wanted) {
                break text;
            }
            let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap();
            come.extend_from_slice(&chunk.unwrap_or_else(|| panic!("it ended: {text}")));
        };
        until(": at ").await;
        let post = async |source: &str, id: &str, query: &str| {
            app.post(source, query, hostile(id), &[]).await.expect(200);
        };
        post("bravo-src", "of-another", "campaign=spring").await;
        post("alpha-src", "of-another-campaign", "campaign=autumn").await;
        post("alpha-src", "mine", "campaign=spring").await;
        let said = until("/ui/tasks/alpha-src/mine").await;
        assert!(said.contains("event: line\ndata: <tr id=\"evt_"), "{said}");
        assert!(!said.contains("of-another") && !said.contains("<script>"), "{said}");
        let page = alpha.get("/").await.expect(200).body;
        let token = page.split_once("name=\"form_token\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
        alpha.post("/ui/sign-out", &[("form_token", &token)]).await.expect(303);
        // It is noticed when there would be something to tell.
        post("alpha-src", "after", "campaign=spring").await;
        let said = until("event: ended").await;
        assert!(!said.contains("/alpha-src/after"), "{said}");
    }
}

#[tokio::test]
async fn the_first_view_is_light_and_its_files_are_kept() {
    let app = TestApp::new(Db::Sqlite, "").await;
    for number in 0..60 {
        app.evolink(&format!("task-unified-1757169743-{number:08}"), "completed").await.expect(200);
    }
    let browser = Browser::signed_in(&app, ADMIN_KEY).await;
    let page = browser.get("/").await.expect(200).body;
    let files =
        page.match_indices("=\"/ui/assets/").map(|(at, _)| page[at + 2..].split('"').next().unwrap().to_owned());
    let files: std::collections::BTreeSet<String> = files.collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let mut bytes = page.len();
    for file in &files {
        let given = browser.get(file).await.expect(200);
        assert_eq!(given.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
        assert_eq!(given.header("x-content-type-options"), "nosniff", "{file}");
        bytes += given.body.len();
        let (before, name) = file.rsplit_once('/').unwrap();
        assert_eq!(browser.get(&format!("{before}x/{name}")).await.status, 404);
    }
    assert!(bytes < 100 * 1024, "{bytes} bytes");
}

#[tokio::test]
async fn pages_are_in_the_language_and_the_colours_that_were_chosen() {
    let app = TestApp::new(Db::Sqlite, "").await;
    let mut browser = Browser::new(&app);
    assert!(browser.get("/ui/sign-in").await.expect(200).body.contains("<html lang=\"en\" data-theme=\"system\">"));
    browser.more = vec![("accept-language", "zh-CN,zh;q=0.9,en;q=0.8".to_owned())];
    let page = browser.get("/ui/sign-in").await.expect(200).body;
    assert!(page.contains("<html lang=\"zh\"") && page.contains("登录"), "{page}");
    for (name, value, expected) in [("language", "en", "lang=\"en\""), ("theme", "dark", "data-theme=\"dark\"")] {
        let chosen = browser.post("/ui/look", &[(name, value), ("back", "//evil.example")]).await.expect(303);
        assert_eq!(chosen.header("location"), "/");
        browser.cookie = chosen.header("set-cookie").split(';').next().unwrap().to_owned();
        assert!(browser.get("/ui/sign-in").await.expect(200).body.contains(expected));
    }
    let foreign = browser.post("/ui/look", &[("language", "xx")]).await.expect(303);
    assert_eq!(foreign.header("set-cookie"), "");
}

#[tokio::test]
async fn what_is_not_there_is_said_on_a_page() {
    let app = TestApp::new(Db::Sqlite, "").await;
    Browser::new(&app).get("/ui/nothing/here").await.expect(303);
    let browser = Browser::signed_in(&app, ADMIN_KEY).await;
    for path in ["/ui/nothing/here", "/ui/tasks/evolink/none", "/ui/events/evt_none", "/ui/callbacks/none/body"] {
        let page = browser.get(path).await.expect(404);
        assert!(page.body.contains("<h1>Not found</h1>") && page.body.contains("<nav"), "{path}: {}", page.body);
        is_harmless(path, &page);
    }
}

#[tokio::test]
async fn it_is_not_where_only_providers_come() {
    use callboard::app::App;
    use callboard::config::{Config, Env};
    use callboard::domain::clock::SystemClock;
    let directory = tempfile::tempdir().unwrap();
    let env = Env::from_iter([
        ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBOARD_SERVER__MANAGE_LISTEN", "127.0.0.1:0".to_owned()),
        ("CALLBOARD_SERVER__ADMIN_KEY", ADMIN_KEY.to_owned()),
        ("CALLBOARD_DATABASE__URL", format!("sqlite:{}", directory.path().join("c.db").display())),
    ]);
    let file = directory.path().join("callboard.toml");
    std::fs::write(&file, "").unwrap();
    let app = App::build(Config::load(Some(&file), &env).unwrap(), std::sync::Arc::new(SystemClock)).await.unwrap();
    let (addresses, life) = (app.addresses(), app.life.clone());
    let serving = tokio::spawn(app.serve());
    let status = async |at: usize, path: &str| {
        reqwest::get(format!("http://{}{path}", addresses[at])).await.unwrap().status().as_u16()
    };
    for path in ["/", "/ui/sign-in", "/ui/tasks"] {
        assert_eq!((status(0, path).await, status(1, path).await), (404, 200), "{path}");
    }
    life.stop();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_tasks_page_tells_the_whole_story() {
    let sink = Sink::start().await;
    let (mut app, alpha, _) = world(Db::Sqlite, &sink).await;
    let body = |status: &str| json!({"id": "one", "status": status, "model": "m"}).to_string();
    for status in ["processing", "completed", "completed", "processing", "failed"] {
        app.post("alpha-src", "", body(status), &[]).await.expect(200);
        app.advance(std::time::Duration::from_secs(1));
    }
    app.tick_all().await;
    let page = alpha.get("/ui/tasks/alpha-src/one").await.expect(200).body;
    for outcome in ["accepted", "duplicate", "stale", "conflict"] {
        assert!(page.contains(&format!(">{outcome}</span>")), "{outcome}: {page}");
    }
    let told: Value = app.get("/api/v1/tasks/alpha-src/one").await.expect(200).body;
    for entry in told["timeline"].as_array().unwrap() {
        let id = match entry["kind"].as_str().unwrap() {
            "callback" => entry["callback"]["id"].as_str(),
            "event" => entry["event_id"].as_str(),
            "delivery" => entry["delivery"]["id"].as_str(),
            "attempt" => Some("Attempt 1"),
            _ => None,
        };
        assert!(id.is_some_and(|id| page.contains(id)), "{entry}");
    }
}
