//! A browser as people have it: Debian's Chromium, driven through its own driver. One driver a test process, a new
//! profile for each browser; both end with the process, however that ends.
//!
//! Waiting is the driver's: an element that is looked for is waited for, over the loading of pages too.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::wire;

/// As the WebDriver standard names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// An element that is not there by then will not come.
const PATIENCE_MS: u64 = 20_000;
/// What is looked at on a page, before anything of the page itself runs: whether anything ran or was held back.
const WATCH: &str = "window.held = []; document.addEventListener('securitypolicyviolation', \
    (event) => window.held.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));";

/// Keys as the WebDriver standard writes them.
pub(crate) const CONTROL: &str = "\u{e009}";
pub(crate) const ENTER: &str = "\u{e007}";

struct Driver {
    url: String,
    // Its standard input is what the shell waits for.
    _shell: Child,
}

fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "chromedriver --port=0 </dev/null & cat >/dev/null; kill $!"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = said
            .find_map(|line| Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned()))
            .expect("these tests need a browser: `apt-get install chromium chromium-driver` on Debian");
        std::thread::spawn(move || said.for_each(drop));
        Driver { url: format!("http://127.0.0.1:{port}"), _shell: shell }
    })
}

/// One browser with a profile of its own. It ends with its value.
pub(crate) struct Chromium {
    session: String,
    _profile: TempDir,
}

/// An element of the page that is open.
pub(crate) struct Element<'a> {
    browser: &'a Chromium,
    id: String,
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = wire::request("DELETE", &self.session, &[], b"");
    }
}

impl Chromium {
    /// Starts one; more arguments may be given to it.
    pub(crate) fn start(more: &[String]) -> Self {
        let profile = tempfile::Builder::new().prefix("callboard-it-profile-").tempdir().unwrap();
        let mut arguments: Vec<String> = [
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "remote-debugging-pipe",
            "lang=en-US",
            "window-size=1200,900",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!("user-data-dir={}", profile.path().display()));
        arguments.extend_from_slice(more);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "unhandledPromptBehavior": "ignore",
            "timeouts": {"implicit": PATIENCE_MS, "pageLoad": PATIENCE_MS, "script": PATIENCE_MS},
            "goog:chromeOptions": {"args": arguments, "prefs": {"intl.accept_languages": "en-US"}},
        }}});
        let sessions = format!("{}/session", driver().url);
        let made = told(&wire::post(&sessions, wanted.to_string().as_bytes()), "a session");
        let id = made["sessionId"].as_str().unwrap();
        let browser = Self { session: format!("{sessions}/{id}"), _profile: profile };
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": WATCH}));
        browser
    }

    fn tell(&self, command: &str, body: &Value) -> Value {
        told(&wire::post(&format!("{}/{command}", self.session), body.to_string().as_bytes()), command)
    }

    fn ask(&self, what: &str) -> Value {
        told(&wire::request("GET", &format!("{}/{what}", self.session), &[], b"").unwrap(), what)
    }

    /// A command of the browser's developer tools.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.tell("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Goes to an address, and waits until the page is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.tell("url", &json!({"url": url}));
    }

    /// The address that it shows.
    pub(crate) fn address(&self) -> String {
        self.ask("url").as_str().unwrap().to_owned()
    }

    /// Runs a script in the page; gives what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.tell("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that calls its last argument when it is done.
    pub(crate) fn run_until_called(&self, script: &str) -> Value {
        self.tell("execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits for an element by its CSS selector.
    #[track_caller]
    pub(crate) fn find(&self, selector: &str) -> Element<'_> {
        self.look("css selector", selector)
    }

    /// Waits for the element of this kind whose own words are these, or have these in them.
    #[track_caller]
    pub(crate) fn find_text(&self, selector: &str, text: &str) -> Element<'_> {
        self.look("xpath", &format!("//{selector}[contains(normalize-space(.), \"{text}\")]"))
    }

    #[track_caller]
    fn look(&self, using: &str, value: &str) -> Element<'_> {
        let found = self.tell("element", &json!({"using": using, "value": value}));
        Element { browser: self, id: found[ELEMENT].as_str().unwrap().to_owned() }
    }

    /// How many elements there are at this moment.
    pub(crate) fn count(&self, selector: &str) -> u64 {
        self.run(&format!("return document.querySelectorAll({}).length", json!(selector))).as_u64().unwrap()
    }

    /// The words on the page as they are seen.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap().to_owned()
    }

    /// What the page's policy held back so far; an event that is on its way is waited for.
    pub(crate) fn held(&self) -> Vec<String> {
        let script = "const done = arguments[0]; requestAnimationFrame(() => setTimeout(() => done(window.held)));";
        serde_json::from_value(self.run_until_called(script)).unwrap()
    }

    /// Whether a page asks or tells something in a dialog of the browser.
    pub(crate) fn has_alert(&self) -> bool {
        wire::request("GET", &format!("{}/alert/text", self.session), &[], b"").unwrap().status() == 200
    }

    /// Writes what is seen as a PNG.
    pub(crate) fn picture(&self, to: &Path) {
        let picture = self.ask("screenshot");
        let bytes = base64::prelude::BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }

    /// Signs in at this address of the service.
    pub(crate) fn sign_in(&self, base: &str, key: &str) {
        self.open(base);
        self.find("#key").write(&format!("{key}{ENTER}"));
        self.find("nav a[data-go]");
    }
}

impl Element<'_> {
    pub(crate) fn click(&self) {
        self.browser.tell(&format!("element/{}/click", self.id), &json!({}));
    }

    /// Presses these keys in it.
    pub(crate) fn write(&self, keys: &str) {
        self.browser.tell(&format!("element/{}/value", self.id), &json!({"text": keys}));
    }

    /// Its words as they are seen.
    pub(crate) fn text(&self) -> String {
        self.browser.ask(&format!("element/{}/text", self.id)).as_str().unwrap().to_owned()
    }

    /// What is in a field.
    pub(crate) fn value(&self) -> String {
        self.browser.ask(&format!("element/{}/property/value", self.id)).as_str().unwrap().to_owned()
    }
}

/// What the driver answered.
#[track_caller]
fn told(answer: &wire::Message, to: &str) -> Value {
    let body = answer.json();
    assert_eq!(answer.status(), 200, "{to}: {} {}", body["value"]["error"], body["value"]["message"]);
    body["value"].clone()
}
