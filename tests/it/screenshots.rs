//! The pictures of the dashboard in `docs/images/`: each page in light, in dark and on a phone, as the whole service shows
//! a month of its own. `scripts/screenshots` makes them anew.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use callboard::domain::clock::{Clock, ManualClock, SystemClock, Timestamp};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::app::{ADMIN_KEY, Database, Db, SECRET, TOKEN, TestApp};
use crate::chromium::Chromium;
use crate::endpoint::{Reply, Sink};
use crate::stats::roll_all;
use crate::wire;

const DAYS: i64 = 29;
/// Between one callback of a task and the next.
const SOON: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;
const MEDIA: &str = "cdn.example.com";

/// A task as providers make them: its model, what it costs, how long it takes, and the ending of its output's name.
const KINDS: [(&str, f64, i64, &str); 5] = [
    ("kling-o3-text-to-video", 27.0, 190, "mp4"),
    ("gemini-3.1-flash-image", 2.5, 14, "png"),
    ("veo-3.1-fast", 18.0, 95, "mp4"),
    ("seedream-4.5", 3.0, 21, "png"),
    ("suno-v5", 6.0, 70, "mp3"),
];
const CAMPAIGNS: [&str; 3] = ["spring", "launch", "catalogue"];

/// Which window, and how big.
#[derive(Clone, Copy)]
struct Window {
    name: &'static str,
    width: u32,
    height: u32,
    colours: &'static str,
}

const WINDOWS: [Window; 3] = [
    Window { name: "light", width: 1200, height: 800, colours: "light" },
    Window { name: "dark", width: 1200, height: 800, colours: "dark" },
    Window { name: "phone", width: 390, height: 844, colours: "light" },
];

/// A picture that tells itself apart from others by its colours, over https as the pages want it.
fn media() -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([MEDIA.to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let config = Arc::clone(&config);
            std::thread::spawn(move || paint(socket, config));
        }
    });
    address
}

/// Answers each request with a landscape; an error is the browser's end of the connection.
fn paint(socket: TcpStream, config: Arc<rustls::ServerConfig>) -> Option<()> {
    let mut stream = BufReader::new(rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), socket));
    while let Some(request) = wire::read(&mut stream).ok()? {
        let hue = request.path().bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(16_777_619) ^ u32::from(byte)) % 360;
        let picture = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 160 90'><linearGradient id='a' x2='0' y2='1'>\
             <stop stop-color='hsl({hue} 70% 62%)'/><stop offset='1' stop-color='hsl({} 75% 82%)'/></linearGradient>\
             <rect width='160' height='90' fill='url(#a)'/><circle cx='{}' cy='34' r='11' fill='#fff8e0'/>\
             <path d='M0 90V62l38-22 34 24 40-34 48 38v22z' fill='hsl({} 38% 34%)'/></svg>",
            (hue + 40) % 360,
            30 + hue % 100,
            (hue + 160) % 360
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\nContent-Length: {}\r\n\r\n{picture}",
            picture.len()
        );
        stream.get_mut().write_all(head.as_bytes()).ok()?;
    }
    None
}

fn config(well: &Sink, slow: &Sink, gone: &Sink) -> String {
    let source = |name: &str, more: &str| {
        format!("[sources.{name}]\nprovider = \"{name}\"\ncallback_token = \"{TOKEN}\"\n{more}\n")
    };
    let destination = |name: &str, team: &str, channel: &str, sink: &Sink, events: &str| {
        format!(
            "[destinations.{name}]\nteam = \"{team}\"\nchannel = \"{channel}\"\nurl = \"{}\"\nrate = \"500/s\"\n\
             [[subscriptions]]\ndestination = \"{name}\"\n{events}\n",
            sink.url()
        )
    };
    [
        "[server]\npublic_url = \"https://hooks.example.com\"\n".to_owned(),
        source("evolink", "teams = [\"ads\", \"platform\"]"),
        source("aivideoapi", ""),
        source("replicate", &format!("signing_secret = \"{SECRET}\"")),
        destination("backend", "platform", "webhook", well, ""),
        destination("ads-slack", "ads", "slack", well, "where = 'task.metadata.campaign == \"spring\"'"),
        destination("archive", "platform", "webhook", gone, "events = [\"task.completed\"]"),
        destination("render-farm", "platform", "webhook", slow, "events = [\"task.failed\"]"),
        "[delivery]\nretry = [\"5s\", \"30s\", \"2m\", \"10m\", \"1h\", \"3h\", \"6h\", \"12h\", \"24h\"]\n".to_owned(),
    ]
    .concat()
}

/// What becomes of a task. Chance would make other pictures each time.
async fn live(app: &TestApp, number: i64) {
    let at = app.now();
    let (model, credits, took, ending) = KINDS[usize::try_from(number * 7 % 11).unwrap() % KINDS.len()];
    let began = Timestamp(at.0 - took * 1000 - number * 7919 % 20_000).0 / 1000;
    let query = format!("campaign={}&order={}", CAMPAIGNS[usize::try_from(number).unwrap() % 3], 4100 + number);
    let id = format!("task-unified-{began}-{:05x}", number * 48_271 % 1_048_576);
    if number % 9 == 5 {
        return drop(app.signed(&format!("rm4{id}")[..26].replace("task-unified-", "x"), "succeeded").await);
    }
    if number % 7 == 3 {
        let body = json!({"id": id.replace("task-unified-", "b2949c50-"), "status": "completed", "model": "kling-3.0",
            "created_at": began, "completed_at": at.0 / 1000, "output": {"urls": [format!("https://{MEDIA}/{number}.mp4")]}});
        return drop(app.post("aivideoapi", &query, body.to_string(), &[]).await.expect(200));
    }
    let post = async |status: &str, more: serde_json::Value| {
        let mut body = json!({"id": id, "status": status, "model": model, "created": began, "progress": 100});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app.post("evolink", &query, body.to_string(), &[("user-agent", "EvoLink-Callback/1.0")]).await.expect(200);
    };
    if number % 6 == 4 {
        let error =
            json!({"code": "content_policy_violation", "message": "Your request was blocked by safety filters"});
        return post("failed", json!({"error": error})).await;
    }
    let outputs = 0..=number % 2 * i64::from(ending == "png");
    let results: Vec<String> = outputs.map(|output| format!("https://{MEDIA}/{number}-{output}.{ending}")).collect();
    let end = json!({"results": results, "usage": {"credits_used": credits}});
    post("completed", end.clone()).await;
    if number % 5 == 2 {
        app.advance(SOON);
        post("processing", json!({"progress": 40})).await;
        app.advance(SOON);
        post("completed", end).await;
    }
}

/// A month that ends a moment ago.
async fn history() -> TestApp {
    let well = Sink::start(|_| Reply::Text("ok"));
    // Of three requests in a row it takes one.
    let asked = AtomicUsize::new(0);
    let slow =
        Sink::start(move |_| Reply::Status(if asked.fetch_add(1, Ordering::SeqCst) % 3 < 2 { 503 } else { 204 }));
    let is_gone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_gone);
    let gone = Sink::start(move |_| Reply::Status(if seen.load(Ordering::SeqCst) { 410 } else { 204 }));
    let end = Timestamp(SystemClock.now().0 - 20_000);
    let clock = Arc::new(ManualClock::new(Timestamp(end.0 - DAYS * 24 * HOUR_MS)));
    let mut app = TestApp::on(Arc::new(Database::fresh(Db::Sqlite)), clock, &config(&well, &slow, &gone)).await;
    let mut number = 0;
    while app.now() < end {
        // The last hour is told in minutes.
        let left = end.0 - app.now().0;
        is_gone.store(left < HOUR_MS / 6, Ordering::SeqCst);
        let day = left / HOUR_MS / 24;
        for _ in 0..if left > HOUR_MS { 2 + day * day % 7 % 4 } else { 1 } {
            live(&app, number).await;
            number += 1;
        }
        app.tick_all().await;
        let step = if left > HOUR_MS { (left - HOUR_MS).min(4 * HOUR_MS) } else { left.min(150_000) };
        app.advance(Duration::from_millis(u64::try_from(step).unwrap()));
    }
    live(&app, number).await;
    app.tick_all().await;
    while app.replayer.tick().await.unwrap() {}
    roll_all(&app).await;
    app
}

/// Each page that has a picture, and what it is called.
async fn pages(app: &TestApp) -> Vec<(&'static str, String)> {
    let first = async |path: &str, key: &str| {
        let list = app.get(&format!("/api/v1/{path}")).await.expect(200);
        list.items()[0][key].as_str().unwrap().to_owned()
    };
    let event = first("events?type=task.completed&source=evolink", "id").await;
    let repeated = app.get("/api/v1/callbacks?source=evolink&outcome=duplicate&limit=50").await.expect(200);
    let mut task = "";
    for candidate in repeated.items().iter().filter_map(|callback| callback["task_id"].as_str()) {
        let told = app.get(&format!("/api/v1/tasks/evolink/{candidate}")).await.expect(200);
        if told.body["outputs"][0]["kind"] == "image" {
            task = candidate;
            break;
        }
    }
    let callback = first("callbacks?source=evolink&outcome=accepted", "id").await;
    let delivery = first("deliveries?destination=render-farm", "id").await;
    vec![
        ("events", "/".to_owned()),
        ("tasks", "/ui/tasks".to_owned()),
        ("task", format!("/ui/tasks/evolink/{task}")),
        ("callbacks", "/ui/callbacks".to_owned()),
        ("callback", format!("/ui/callbacks/{callback}")),
        ("event", format!("/ui/events/{event}")),
        ("deliveries", "/ui/deliveries".to_owned()),
        ("delivery", format!("/ui/deliveries/{delivery}")),
        ("replay", "/ui/new/replay".to_owned()),
        ("charts", "/ui/charts".to_owned()),
        ("sources", "/ui/sources".to_owned()),
        ("source", "/ui/sources/evolink".to_owned()),
        ("destinations", "/ui/destinations".to_owned()),
        ("destination", "/ui/destinations/archive".to_owned()),
        ("new-destination", "/ui/new/destination?channel=webhook".to_owned()),
        ("subscriptions", "/ui/subscriptions".to_owned()),
        ("keys", "/ui/keys".to_owned()),
        ("audit", "/ui/audit".to_owned()),
    ]
}

fn take(browser: &Chromium, window: Window, name: &str) {
    let metrics =
        json!({"width": window.width, "height": window.height, "deviceScaleFactor": 1, "mobile": window.width < 600});
    browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    let colours = json!({"features": [{"name": "prefers-color-scheme", "value": window.colours}]});
    browser.devtools("Emulation.setEmulatedMedia", &colours);
    // Pictures in sight are there, and what was drawn is on the screen.
    browser.run_until_called(
        "const done = arguments[0]; const near = [...document.images].filter((i) => i.getBoundingClientRect().top < innerHeight);\
         Promise.all(near.map((i) => i.decode().catch(() => 0))).then(() => requestAnimationFrame(() => requestAnimationFrame(done)));",
    );
    let to = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/images").join(format!("{name}-{}.png", window.name));
    browser.picture(&to);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes docs/images; scripts/screenshots runs it"]
async fn each_page_has_its_picture() {
    let media = media();
    let app = history().await;
    app.post_api("/api/v1/keys", json!({"name": "ads dashboard", "role": "read", "team": "ads"})).await.expect(201);
    app.post_api("/api/v1/keys", json!({"name": "render pipeline", "role": "relay", "team": "platform"}))
        .await
        .expect(201);
    let browser =
        Chromium::start(&["ignore-certificate-errors".to_owned(), format!("host-resolver-rules=MAP {MEDIA} {media}")]);
    std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/images")).unwrap();
    let base = app.url("");
    browser.open(&base);
    browser.find("#key");
    for window in WINDOWS {
        take(&browser, window, "sign-in");
    }
    browser.sign_in(&base, ADMIN_KEY);
    for (name, path) in pages(&app).await {
        browser.open(&format!("{base}{path}"));
        if name == "events" {
            browser.find("#live.is-on");
        }
        for window in WINDOWS {
            take(&browser, window, name);
        }
    }
    app.life.stop();
}
