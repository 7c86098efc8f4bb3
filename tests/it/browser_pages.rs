//! Every page that the dashboard links to, in a real browser: whatever providers say runs nothing there, and who
//! cannot see or point can use it.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::browser::{base, make, two_teams};
use super::chromium::Chromium;
use super::endpoint::{Reply, Sink};
use super::process::{KEY, Service, evolink};
use super::wire;

/// What would run, break out of where it stands, or turn the text around it, if it were more than a text.
const HOSTILE: &str = "\"'><script>window.ran=1</script><img src=x onerror=window.ran=1><svg/onload=window.ran=1>\
    </textarea></script>{{window.ran=1}}\u{202e}\u{2066}\u{7}\u{1b}[31m";
/// Lines that arrive on an open page are put there by its script, which is a way of its own.
const ARRIVED: &str = "arrived";

/// A callback in which each field that its sender can choose is hostile.
fn hostile(task_id: &str, status: &str) -> Vec<u8> {
    let long = "W".repeat(3000);
    json!({"id": format!("{task_id}{HOSTILE}"), "status": status, "model": format!("{HOSTILE}{long}"), "progress": 100,
        "results": ["javascript:window.ran=1", format!("https://r.example/{HOSTILE}.png"), "data:text/html,<script>window.ran=1</script>",
            format!("http://r.example/a.mp4?{HOSTILE}"), "https://r.example/a\"onerror=\"window.ran=1\".png"],
        "error": {"code": HOSTILE, "message": format!("{HOSTILE} {long}")}, "unknown": {HOSTILE: HOSTILE}})
    .to_string()
    .into_bytes()
}

fn post_hostile(service: &Service, task_id: &str, status: &str) -> u16 {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(&HOSTILE.replace('\u{7}', ""), HOSTILE)
        .append_pair("link", "javascript:window.ran=1")
        .finish();
    let url = format!("{}?{query}", service.callback_url("alpha-src"));
    let header = HOSTILE.split('\u{202e}').next().unwrap();
    wire::request("POST", &url, &[("X-Hostile", header), ("User-Agent", header)], &hostile(task_id, status))
        .unwrap()
        .status()
}

/// Opens every page that can be reached by links, from `/`.
fn every_page(browser: &Chromium, base: &str, mut look: impl FnMut(&str)) -> usize {
    const LINKS: &str = "return [...document.querySelectorAll('a[href^=\"/\"]')].map((a) => a.getAttribute('href'))";
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut waiting = VecDeque::from(["/".to_owned()]);
    let mut opened = 0;
    while let Some(path) = waiting.pop_front() {
        browser.open(&format!("{base}{path}"));
        opened += 1;
        assert!(opened < 120, "pages lead to more and more pages: {seen:#?}");
        look(&path);
        let links: Vec<String> = serde_json::from_value(browser.run(LINKS)).unwrap();
        let of_pages = links.into_iter().filter(|link| !link.ends_with("/body") && link != "/docs");
        waiting.extend(of_pages.filter(|link| seen.insert(link.clone())));
    }
    opened
}

/// Nothing on the page that is open ran, or was held back by its policy alone.
fn is_harmless(browser: &Chromium, path: &str) {
    assert!(!browser.has_alert(), "{path} opens a dialog");
    assert_eq!(browser.held(), [""; 0], "{path}");
    assert_eq!(browser.run("return window.ran ?? null"), Value::Null, "{path} ran something");
    let script = "return [...document.querySelectorAll('[src], [href], [action], [formaction], [poster], [data]')].flatMap((e) => \
        ['src', 'href', 'action', 'formaction', 'poster', 'data'].map((name) => e.getAttribute(name))).filter((link) => \
        link && !/^https?:$/.test(new URL(link, location).protocol))";
    assert_eq!(browser.run(script), json!([]), "{path} has a link that is none of the web");
    // A long word makes no page wider than the screen, on a phone neither.
    let wide = "return document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]\
        .filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 90))";
    assert_eq!(browser.run(wide), json!([]), "{path} is wider than the screen");
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": false});
    browser.devtools("Emulation.setDeviceMetricsOverride", &phone);
    assert_eq!(browser.run(wide), json!([]), "{path} is wider than a phone");
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({}));
}

#[test]
fn what_providers_say_runs_nothing() {
    let sink = Sink::start(|_| Reply::Text("<script>window.ran=1</script><img src=x onerror=window.ran=1>"));
    let place = two_teams(&sink);
    let service = place.serve();
    assert_eq!(post_hostile(&service, "failed", "failed"), 200);
    assert_eq!(post_hostile(&service, "completed", "completed"), 200);
    assert_eq!(post_hostile(&service, "word", &format!("odd {HOSTILE}")), 200);
    sink.got.until_len(2);
    let base = base(&service);
    let browser = Chromium::start(&[]);
    browser.sign_in(&base, KEY);

    // That what follows would be noticed.
    browser
        .run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);");
    assert!(browser.held().iter().any(|held| held.starts_with("script-src-elem inline")), "{:?}", browser.held());
    assert_eq!(browser.run("return window.ran ?? null"), Value::Null);

    browser.open(&base);
    browser.find("#live.is-on");
    assert_eq!(post_hostile(&service, ARRIVED, "failed"), 200);
    browser.find_text("a", ARRIVED);
    is_harmless(&browser, "/ as it arrives");
    let mut showing = 0;
    let opened = every_page(&browser, &base, |path| {
        is_harmless(&browser, path);
        showing += usize::from(browser.text().contains("<script>window.ran=1</script>"));
    });
    assert!(opened > 30 && showing > 10, "{opened} pages were opened, {showing} showed what was sent");
    // A player is opened by the page's script, from what the provider said.
    browser.open(&base);
    browser.find("[data-play]").click();
    browser.find("dialog[open] > img");
    is_harmless(&browser, "a picture that is opened");
    service.stop();
}

/// What axe finds on the page that is open: the rule, how bad, and where.
fn faults(browser: &Chromium, rules: &str) -> Vec<String> {
    let script = format!(
        "const done = arguments[0]; axe.run(document, {{resultTypes: ['violations']{rules}}}).then((found) => done(\
         found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) => \
         `${{one.id}} (${{one.impact}}): ${{one.nodes.map((node) => node.html.slice(0, 160)).slice(0, 3).join(' | ')}}`)), \
         (error) => done([String(error)]))"
    );
    let axe = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/axe/axe.min.js");
    browser.run(&std::fs::read_to_string(axe).unwrap());
    serde_json::from_value(browser.run_until_called(&script)).unwrap()
}

#[test]
fn every_page_can_be_used_without_seeing_or_pointing() {
    let sink = Sink::start(|got| Reply::Status(if got.request.text().contains("refused") { 500 } else { 204 }));
    let place = two_teams(&sink);
    let service = place.serve();
    for task in ["task-1", "refused"] {
        service.post("alpha-src", &evolink(task));
    }
    sink.got.until_len(2);
    make(&service, "/keys", &json!({"name": "looks", "role": "read", "team": "alpha"}));
    let made =
        json!({"name": "made", "team": "alpha", "channel": "slack", "url": "https://hooks.slack.com/services/T0/B0/x"});
    make(&service, "/destinations", &made);
    let base = base(&service);
    let browser = Chromium::start(&[]);
    let mut found = Vec::new();
    browser.open(&base);
    found.extend(faults(&browser, "").into_iter().map(|fault| format!("signing in: {fault}")));
    // That something is found where something is wrong.
    browser.run("document.body.append(document.createElement('button'))");
    assert!(faults(&browser, "").iter().any(|fault| fault.starts_with("button-name (critical)")));

    browser.sign_in(&base, KEY);
    let opened = every_page(&browser, &base, |path| {
        found.extend(faults(&browser, "").into_iter().map(|fault| format!("{path}: {fault}")));
        // In the other colours, only these can be wrong.
        browser.run("document.documentElement.dataset.theme = 'dark'");
        let dark = faults(&browser, ", runOnly: ['color-contrast']");
        found.extend(dark.into_iter().map(|fault| format!("{path}, dark: {fault}")));
    });
    assert!(opened > 30, "only {opened} pages were opened");
    browser.open(&base);
    browser.find("body").write("?");
    browser.find("#shortcuts[open]");
    found.extend(faults(&browser, "").into_iter().map(|fault| format!("the keys: {fault}")));
    assert!(found.is_empty(), "{}", found.join("\n"));
    service.stop();
}
