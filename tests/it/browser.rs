//! The dashboard in a real browser: what people do with it, clicked through on the real service.

use super::chromium::{CONTROL, Chromium};
use super::endpoint::{Reply, Sink};
use super::process::{KEY, Place, Service, TOKEN, evolink};
use super::wire;

const ANY_PORT: (&str, &str) = ("CALLBOARD_SERVER__LISTEN", "127.0.0.1:0");

/// A place where two teams have a source, a destination and a subscription each, and a key that only looks.
pub(crate) fn two_teams(sink: &Sink) -> Place {
    let of = |team: &str| {
        format!(
            "[sources.{team}-src]\nprovider = \"evolink\"\ncallback_token = \"{TOKEN}\"\nteams = [\"{team}\"]\n\
             [destinations.{team}-hook]\nteam = \"{team}\"\nchannel = \"webhook\"\nurl = \"{}\"\n\
             [[subscriptions]]\ndestination = \"{team}-hook\"\n",
            sink.url()
        )
    };
    Place::with(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"{KEY}\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n{}{}",
        of("alpha"),
        of("bravo")
    ))
}

/// Where the pages are.
pub(crate) fn base(service: &Service) -> String {
    service.api.trim_end_matches("/api/v1").to_owned()
}

/// Makes something through the API; gives its answer.
pub(crate) fn make(service: &Service, path: &str, body: &serde_json::Value) -> serde_json::Value {
    let headers = [("Authorization", service.bearer())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let url = format!("{}{path}", service.api);
    let made = wire::request("POST", &url, &headers, body.to_string().as_bytes()).unwrap();
    assert!(made.status() < 300, "{path}: {made:?}");
    made.json()
}

fn key_of(service: &Service, role: &str, team: &str) -> String {
    let made =
        make(service, "/keys", &serde_json::json!({"name": format!("{team} {role}"), "role": role, "team": team}));
    made["key"].as_str().unwrap().to_owned()
}

#[test]
fn from_the_first_start_to_the_second_delivery() {
    let sink = Sink::start(|_| Reply::Status(204));
    // Nothing is configured but that a destination may be on this machine.
    let place = Place::with("[egress]\nallow = [\"127.0.0.0/8\"]\n");
    let service = place.serve_with(&[ANY_PORT]);
    make(&service, "/teams", &serde_json::json!({"name": "ops"}));
    let destination = serde_json::json!({"name": "backend", "team": "ops", "channel": "webhook", "url": sink.url()});
    make(&service, "/destinations", &destination);
    make(&service, "/subscriptions", &serde_json::json!({"destination": "backend"}));

    let browser = Chromium::start(&[]);
    let base = base(&service);
    browser.sign_in(&base, place.read("callboard.key").trim());
    // The callback URL is copied with its button, and put into the search field as one puts it into a program.
    browser.open(&format!("{base}/ui/sources/evolink"));
    browser.find("pre .copy").click();
    browser.find_text("button", "Copied");
    browser.find("nav a[href='/']").click();
    browser.find("#empty");
    let search = browser.find("[data-search]");
    search.write(&format!("{CONTROL}v"));
    let url = search.value();
    assert_eq!(url, service.callback_url("evolink"));
    // It arrives on the page that is open.
    browser.find("#live.is-on");
    browser.run("window.same = true");
    assert_eq!(wire::post(&url, &evolink("task-1")).status(), 200);
    let line = browser.find_text("a", "task-1");
    assert_eq!(browser.run("return window.same"), true, "the page was loaded anew");
    line.click();
    browser.find_text("h1", "task-1");
    sink.got.until_len(1);

    browser.find_text("a", "evt_").click();
    browser.find_text("main//a", "Replay").click();
    browser.find_text("p", "backend × 1");
    browser.find("main button.main").click();
    sink.got.until_len(2);
    browser.find("[role=status]");
    browser.open(&format!("{base}/ui/tasks/evolink/task-1"));
    // Each delivery with its attempt, the second of them marked as a replay.
    let seen = browser.find(".timeline").text();
    assert_eq!(seen.matches("→ backend").count(), 2, "{seen}");
    assert_eq!(browser.count(".sending .chip"), 1);
    let ids: Vec<_> = sink.got.all().iter().map(|got| got.request.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(browser.held(), [""; 0]);
    service.stop();
}

#[test]
fn each_team_sees_its_own_and_who_only_looks_has_no_buttons() {
    let sink = Sink::start(|_| Reply::Status(204));
    let place = two_teams(&sink);
    let service = place.serve();
    for team in ["alpha", "bravo"] {
        service.post(&format!("{team}-src"), &evolink(&format!("{team}-task")));
    }
    sink.got.until_len(2);
    let base = base(&service);
    let browsers = [("alpha", "bravo", "read"), ("bravo", "alpha", "manage")].map(|(mine, theirs, role)| {
        let browser = Chromium::start(&[]);
        browser.sign_in(&base, &key_of(&service, role, mine));
        (browser, mine, theirs, role)
    });
    for path in
        ["/", "/ui/tasks", "/ui/callbacks", "/ui/deliveries", "/ui/sources", "/ui/destinations", "/ui/subscriptions"]
    {
        for (browser, mine, theirs, role) in &browsers {
            browser.open(&format!("{base}{path}"));
            // Lists of what is set up begin with the table, the others with its rows.
            browser.find_text("main//tbody//tr", mine);
            let seen = browser.run("return document.documentElement.outerHTML");
            assert!(!seen.as_str().unwrap().contains(theirs), "{path} shows {theirs} to {mine}");
            let forms = browser.count("main form[method=post], main .actions a, main .pick");
            assert!(*role == "manage" || forms == 0, "{path} shows {forms} buttons to who only looks");
        }
    }
    // What one may press is there for who may press it.
    let (looks, manages) = (&browsers[0].0, &browsers[1].0);
    manages.open(&format!("{base}/ui/destinations/bravo-hook"));
    assert!(manages.count("main form[method=post] button") > 0);
    looks.open(&format!("{base}/ui/destinations/alpha-hook"));
    looks.find_text("h1", "alpha-hook");
    assert_eq!(looks.count("main form[method=post] button"), 0);
    looks.open(&format!("{base}/ui/tasks/bravo-src/bravo-task"));
    assert!(!looks.run("return document.querySelector('main').innerText").as_str().unwrap().contains("bravo-hook"));
    service.stop();
}

#[test]
fn language_colours_and_keys_are_the_readers() {
    let sink = Sink::start(|_| Reply::Status(204));
    let place = two_teams(&sink);
    let service = place.serve();
    for number in 1..=3 {
        service.post("alpha-src", &evolink(&format!("task-{number}")));
    }
    sink.got.until_len(3);
    let browser = Chromium::start(&[]);
    browser.sign_in(&base(&service), KEY);

    browser.find("button[name=language][value=zh]").click();
    browser.find("html[lang=zh]");
    browser.find_text("h1", "事件");
    let background = || browser.run("return getComputedStyle(document.documentElement).backgroundColor");
    browser.find("button[name=theme][value=light]").click();
    browser.find("html[data-theme=light]");
    let light = background();
    browser.find("button[name=theme][value=dark]").click();
    browser.find("html[data-theme=dark][lang=zh]");
    assert_ne!(light, background());
    browser.find("button[name=language][value=en]").click();
    browser.find("html[lang=en]");

    let body = browser.find("body");
    body.write("?");
    browser.find("#shortcuts[open]");
    browser.find("#shortcuts button").click();
    assert_eq!(browser.count("#shortcuts[open]"), 0);
    body.write("p");
    browser.find_text("button[@id='pause']", "Go on");
    assert!(browser.address().ends_with("?paused=1"), "{}", browser.address());
    body.write("jj");
    assert_eq!(browser.find("tr.is-here a.row").text(), "task-2");
    body.write("/");
    browser.find("[data-search]:focus").write("task-1\u{e00c}");
    browser.find("body").write("gt");
    browser.find_text("h1", "Tasks");
    // Times are told in the reader's zone, the exact one on hover.
    browser.find("time[title*='2'][data-told]");
    assert_eq!(browser.held(), [""; 0]);
    service.stop();
}
