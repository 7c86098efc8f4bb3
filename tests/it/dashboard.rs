//! The dashboard's door: who is let in, how, for how long, and whose forms are believed.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde_json::json;

use crate::access::{call, key};
use crate::app::{ADMIN_KEY, Db, TestApp, both};

const HOUR: Duration = Duration::from_secs(3600);

/// What a page was answered with.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Shown {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The cookies that are set, each as it was sent.
    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The cookie of the session.
    fn session(&self) -> Option<String> {
        let set =
            self.cookies().into_iter().find(|cookie| cookie.contains("callboard-") || cookie.starts_with("__Host-"));
        set.map(|cookie| cookie.split(';').next().unwrap().to_owned())
    }
}

/// A browser: it keeps one cookie, and says where its forms come from.
pub(crate) struct Browser {
    client: reqwest::Client,
    base: String,
    pub(crate) cookie: String,
    pub(crate) more: Vec<(&'static str, String)>,
}

impl Browser {
    pub(crate) fn new(app: &TestApp) -> Self {
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, base: app.url(""), cookie: String::new(), more: Vec::new() }
    }

    /// One that has signed in.
    pub(crate) async fn signed_in(app: &TestApp, key: &str) -> Self {
        let mut browser = Self::new(app);
        browser.cookie = browser.sign_in(key).await.expect(303).session().unwrap();
        browser
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Shown {
        let request = if self.cookie.is_empty() { request } else { request.header("cookie", &self.cookie) };
        let request = self.more.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Shown { status, headers, body: response.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Shown {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    /// A stream that goes on.
    pub(crate) async fn open(&self, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.base)).header("cookie", &self.cookie);
        request.send().await.unwrap()
    }

    /// Sends a form as a page of another site would have it sent, or of none.
    async fn post_from(&self, site: Option<&str>, path: &str, fields: &[(&str, &str)]) -> Shown {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        self.send(if let Some(site) = site { request.header("sec-fetch-site", site) } else { request }).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        self.post_from(Some("same-origin"), path, fields).await
    }

    pub(crate) async fn sign_in(&self, key: &str) -> Shown {
        self.post("/ui/sign-in", &[("key", key), ("back", "/ui/tasks?status=failed")]).await
    }

    /// Sends a form of its own page.
    pub(crate) async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Shown {
        let token = self.form_token().await;
        self.post(path, &[fields, &[("form_token", token.as_str())]].concat()).await
    }

    /// The token that the forms of its pages carry.
    async fn form_token(&self) -> String {
        let page = self.get("/").await.expect(200).body;
        let (_, rest) = page.split_once("name=\"form_token\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

both! {
    async fn a_key_opens_a_session_that_is_kept_as_a_hash_and_ends_by_signing_out(db: Db) {
        let app = TestApp::new(db, "").await;
        let mut browser = Browser::new(&app);
        let led = browser.get("/ui/tasks?status=failed").await.expect(303);
        assert_eq!(led.header("location"), "/ui/sign-in?back=%2Fui%2Ftasks%3Fstatus%3Dfailed");
        assert!(browser.get("/ui/sign-in").await.expect(200).body.contains("type=\"password\""));
        let refused = browser.sign_in("cbk_wrong").await.expect(401);
        assert!(refused.cookies().is_empty() && refused.body.contains("does not hold"), "{refused:?}");

        let entered = browser.sign_in(ADMIN_KEY).await.expect(303);
        assert_eq!(entered.header("location"), "/ui/tasks?status=failed");
        let cookie = entered.cookies()[0].to_owned();
        assert!(cookie.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"), "{cookie}");
        browser.cookie = entered.session().unwrap();
        browser.get("/").await.expect(200);
        assert_eq!(browser.get("/ui/sign-in").await.expect(303).header("location"), "/");
        let token = browser.cookie.split_once('=').unwrap().1.to_owned();
        let kept = app.database.texts("SELECT hash FROM sessions").await;
        assert_eq!(kept, [vec![callboard::domain::secret::Secret::new(token).hash()]]);

        let form_token = browser.form_token().await;
        let left = browser.post("/ui/sign-out", &[("form_token", &form_token)]).await.expect(303);
        assert!(left.cookies().iter().any(|cookie| cookie.contains("=; Path=/; Max-Age=0;")), "{left:?}");
        assert!(app.database.texts("SELECT hash FROM sessions").await.is_empty());
        browser.get("/").await.expect(303);
    }

    async fn a_session_ends_with_its_key_and_by_itself(db: Db) {
        let app = TestApp::new(db, "").await;
        app.post_api("/api/v1/teams", json!({"name": "ops"})).await.expect(201);
        let expires = app.now().after(HOUR * 2).to_string();
        let (ends, revoked) =
            (key(&app, "read", Some("ops"), Some(&expires)).await, key(&app, "read", Some("ops"), None).await);
        let ending = Browser::signed_in(&app, ends.text("key")).await;
        let revoking = Browser::signed_in(&app, revoked.text("key")).await;
        let (idle, busy) = (Browser::signed_in(&app, ADMIN_KEY).await, Browser::signed_in(&app, ADMIN_KEY).await);
        for browser in [&ending, &revoking, &idle, &busy] {
            browser.get("/").await.expect(200);
        }
        let path = format!("/keys/{}", revoked.text("id"));
        call(&app, Some(ADMIN_KEY), "delete", &path, &json!({})).await.expect(204);
        revoking.get("/").await.expect(303);
        app.advance(HOUR * 2);
        ending.get("/").await.expect(303);
        busy.get("/").await.expect(200);
        // In use it goes on, up to seven days; unused it ends after twelve hours.
        for _ in 0..16 {
            app.advance(HOUR * 10);
            busy.get("/").await.expect(200);
        }
        idle.get("/").await.expect(303);
        app.advance(HOUR * 6);
        busy.get("/").await.expect(303);
    }

    async fn the_configured_keys_sessions_end_when_it_changes(db: Db) {
        let mut app = TestApp::new(db, "").await;
        let cookie = Browser::signed_in(&app, ADMIN_KEY).await.cookie;
        let (database, clock) = (app.database.clone(), app.clock.clone());
        app.stop().await;
        // The cookie is named after the port, which is another one each time.
        let named = |app: &TestApp| format!("callboard-{}={}", app.address.port(), cookie.split_once('=').unwrap().1);
        let mut same = TestApp::on(database.clone(), clock.clone(), "").await;
        let mut browser = Browser::new(&same);
        browser.cookie = named(&same);
        browser.get("/").await.expect(200);
        same.stop().await;
        database.execute("UPDATE sessions SET admin_hash = 'of another key'").await;
        let other = TestApp::on(database, clock, "").await;
        let mut browser = Browser::new(&other);
        browser.cookie = named(&other);
        browser.get("/").await.expect(303);
    }

    async fn only_forms_of_our_own_pages_do_anything(db: Db) {
        let app = TestApp::new(db, "").await;
        let (browser, other) =
            (Browser::signed_in(&app, ADMIN_KEY).await, Browser::signed_in(&app, ADMIN_KEY).await);
        let (mine, foreign) = (browser.form_token().await, other.form_token().await);
        assert_ne!(mine, foreign);
        let token = [("form_token", mine.as_str())];
        for site in [Some("cross-site"), Some("same-site"), Some("none"), None] {
            browser.post_from(site, "/ui/sign-out", &token).await.expect(403);
        }
        for wrong in [foreign.as_str(), "", "x"] {
            browser.post("/ui/sign-out", &[("form_token", wrong)]).await.expect(403);
        }
        browser.get("/").await.expect(200);
        // Nobody is signed in from elsewhere either.
        let entered = Browser::new(&app).post_from(Some("cross-site"), "/ui/sign-in", &[("key", ADMIN_KEY)]).await;
        assert!(entered.expect(403).cookies().is_empty());
        browser.post("/ui/sign-out", &token).await.expect(303);
    }
}

#[tokio::test]
async fn a_key_is_taken_over_https_and_on_loopback_and_nowhere_else() {
    let trusting = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\npublic_url = \"https://hooks.example.com\"\n";
    for (config, more, expected) in [
        ("", vec![("host", "10.0.0.5:8080")], None),
        ("", vec![("host", "hooks.example.com")], None),
        ("", vec![("x-forwarded-proto", "https")], None),
        ("", vec![("x-forwarded-for", "192.0.2.1")], None),
        (trusting, vec![("x-forwarded-proto", "http"), ("host", "hooks.example.com")], None),
        (trusting, vec![("x-forwarded-proto", "https"), ("host", "hooks.example.com")], Some(())),
        (trusting, vec![("host", "hooks.example.com")], Some(())),
    ] {
        let app = TestApp::new(Db::Sqlite, config).await;
        let mut browser = Browser::new(&app);
        browser.more = more.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let answered = browser.sign_in(ADMIN_KEY).await;
        match expected {
            None => {
                let answered = answered.expect(403);
                assert!(answered.cookies().is_empty() && answered.body.contains("plain http"), "{answered:?}");
                let page = browser.get("/ui/sign-in").await.expect(200).body;
                assert!(page.contains("ssh -L") && !page.contains("type=\"password\""), "{page}");
            }
            Some(()) => {
                let answered = answered.expect(303);
                let cookie = answered.cookies()[0];
                assert!(cookie.starts_with("__Host-callboard="), "{cookie}");
                assert!(cookie.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
                browser.cookie = answered.session().unwrap();
                browser.get("/").await.expect(200);
                browser.more.clear();
                browser.get("/").await.expect(303);
            }
        }
    }
}

#[tokio::test]
async fn wrong_keys_are_taken_ten_at_a_time() {
    let app = TestApp::new(Db::Sqlite, "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n").await;
    let of = |address: &str| {
        let mut browser = Browser::new(&app);
        browser.more = vec![("x-forwarded-for", address.to_owned()), ("x-forwarded-proto", "https".to_owned())];
        browser
    };
    let (trying, other) = (of("192.0.2.1"), of("192.0.2.2"));
    for _ in 0..10 {
        trying.sign_in("cbk_wrong").await.expect(401);
    }
    let refused = trying.sign_in(ADMIN_KEY).await.expect(429);
    assert!(refused.body.contains("30 seconds") && refused.cookies().is_empty(), "{refused:?}");
    other.sign_in(ADMIN_KEY).await.expect(303);
    app.advance(Duration::from_secs(30));
    trying.sign_in(ADMIN_KEY).await.expect(303);
}

#[tokio::test]
async fn a_key_that_may_not_look_is_told_so() {
    let app = TestApp::new(Db::Sqlite, "").await;
    app.post_api("/api/v1/teams", json!({"name": "ops"})).await.expect(201);
    let relay = key(&app, "relay", Some("ops"), None).await;
    let refused = Browser::new(&app).sign_in(relay.text("key")).await.expect(403);
    assert!(refused.body.contains("for relaying") && refused.cookies().is_empty(), "{refused:?}");
}

#[tokio::test]
async fn every_instance_knows_a_session() {
    let first = TestApp::new(Db::Postgres, "").await;
    let second = TestApp::on(first.database.clone(), first.clock.clone(), "").await;
    let cookie = Browser::signed_in(&first, ADMIN_KEY).await.cookie;
    let mut browser = Browser::new(&second);
    browser.cookie = format!("callboard-{}={}", second.address.port(), cookie.split_once('=').unwrap().1);
    browser.get("/").await.expect(200);
    let form_token = browser.form_token().await;
    browser.post("/ui/sign-out", &[("form_token", &form_token)]).await.expect(303);
    let mut there = Browser::new(&first);
    there.cookie = cookie;
    there.get("/").await.expect(303);
}
