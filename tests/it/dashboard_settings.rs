//! What is set up from the dashboard: by whom, what is said of mistakes, what is shown once, what is taken back.

use callboard::http::PAGES;
use serde_json::json;

use crate::access::key;
use crate::app::{ADMIN_KEY, Db, TestApp, both, webhook};
use crate::dashboard::{Browser, Shown};
use crate::sink::Sink;

/// The value of the first attribute after this text.
fn after<'a>(page: &'a str, text: &str) -> &'a str {
    let (_, rest) = page.split_once(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    rest.split(['"', '<']).next().unwrap()
}

fn shows(page: &Shown, text: &str) {
    assert!(page.body.contains(text), "{text}: {}", page.body);
}

/// A service with the teams alpha and bravo.
async fn with_teams(db: Db, config: &str) -> TestApp {
    let app = TestApp::new(db, config).await;
    for team in ["alpha", "bravo"] {
        app.post_api("/api/v1/teams", json!({"name": team})).await.expect(201);
    }
    app
}

both! {
    async fn each_form_is_taken_only_with_its_token_and_only_from_who_has_the_right(db: Db) {
        let app = with_teams(db, "").await;
        let read = Browser::signed_in(&app, key(&app, "read", Some("alpha"), None).await.text("key")).await;
        let manage = Browser::signed_in(&app, key(&app, "manage", Some("alpha"), None).await.text("key")).await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let mut seen = 0;
        for (method, right, path) in PAGES.iter().filter(|(method, ..)| *method == "POST") {
            let path = ["{name}", "{id}"].iter().fold((*path).to_owned(), |path, place| path.replace(place, "none"));
            if path == "/ui/sign-out" {
                continue;
            }
            let forged = admin.post(&path, &[("form_token", "forged")]).await;
            assert_eq!(forged.status, 403, "{method} {path}");
            let may_not = read.act(&path, &[]).await;
            assert_eq!(may_not.status, 403, "{path}");
            let administers = format!("{right:?}") == "Administer";
            let managed = manage.act(&path, &[]).await.status;
            assert_eq!(managed == 403, administers, "{path}: {managed}");
            seen += 1;
        }
        assert!(seen > 25, "{seen}");
        assert_eq!(app.get("/api/v1/audit?action=destination.create").await.items().len(), 0);
    }

    async fn a_reader_sees_what_is_there_and_no_button(db: Db) {
        let app = with_teams(db, &webhook("backend", "https://example.com/hooks")).await;
        let team = json!({"name": "alpha-hook", "team": "alpha", "channel": "webhook", "url": "https://example.com"});
        app.post_api("/api/v1/destinations", team).await.expect(201);
        let read = Browser::signed_in(&app, key(&app, "read", Some("alpha"), None).await.text("key")).await;
        let manage = Browser::signed_in(&app, key(&app, "manage", Some("alpha"), None).await.text("key")).await;
        for path in ["/ui/sources", "/ui/sources/evolink", "/ui/destinations", "/ui/destinations/alpha-hook",
            "/ui/subscriptions", "/ui/teams", "/ui/charts", "/ui/replays"] {
            let page = read.get(path).await.expect(200);
            assert!(!page.body.contains("data-confirm") && !page.body.contains("/ui/new/"), "{path}: {}", page.body);
            assert!(!page.body.contains("backend") && !page.body.contains("/callbacks/evolink/"), "{path}");
            manage.get(path).await.expect(200);
        }
        for path in ["/ui/keys", "/ui/audit", "/ui/new/destination", "/ui/sources/evolink/edit"] {
            read.get(path).await.expect(403);
        }
        manage.get("/ui/destinations/backend").await.expect(404);
        shows(&manage.get("/ui/sources/evolink").await, "/callbacks/evolink/");
        shows(&manage.get("/ui/sources").await, "<code data-copy=\"http://127.0.0.1:");
        shows(&manage.get("/ui/destinations/alpha-hook").await, "/ui/destinations/alpha-hook/edit");
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let declared = admin.get("/ui/destinations/backend").await.expect(200);
        shows(&declared, "declares this");
        assert!(!declared.body.contains("/ui/destinations/backend/edit"), "{}", declared.body);
        admin.get("/ui/destinations/backend/edit").await.expect(409);
    }

    async fn a_destination_is_tried_before_it_is_kept_and_its_secret_is_shown_once(db: Db) {
        let sink = Sink::start().await;
        let app = with_teams(db, "").await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let new = "/ui/new/destination?channel=webhook";
        shows(&admin.get("/ui/new/destination").await.expect(200), "channel=slack");
        shows(&admin.get(new).await.expect(200), "name=\"url\"");
        let url = sink.url();
        let typed = [("name", "Not a name"), ("team", "alpha"), ("url", url.as_str()), ("rate", "5/s")];
        let refused = admin.act(new, &typed).await.expect(422);
        shows(&refused, "id=\"wrong-name\"");
        for kept in ["value=\"Not a name\"", &format!("value=\"{url}\""), "value=\"5/s\""] {
            shows(&refused, kept);
        }

        let typed = [("name", "hook"), ("team", "alpha"), ("url", url.as_str())];
        let tried = admin.act(new, &[&typed[..], &[("do", "test")]].concat()).await.expect(200);
        shows(&tried, "was taken");
        shows(&tried, "value=\"hook\"");
        assert_eq!(sink.requests().len(), 1);
        app.get("/api/v1/destinations/hook").await.expect(404);
        let inside = [("name", "hook"), ("team", "alpha"), ("url", "http://10.0.0.1/"), ("do", "test")];
        shows(&admin.act(new, &inside).await.expect(422), "id=\"wrong-url\"");

        let made = admin.act(new, &typed).await.expect(200);
        let secret = after(&made.body, "<code data-copy>").to_owned();
        assert!(secret.starts_with("whsec_"), "{secret}");
        let page = admin.get("/ui/destinations/hook").await.expect(200);
        assert!(!page.body.contains(&secret), "{}", page.body);
        shows(&admin.act(new, &typed).await.expect(409), "there is a destination `hook` already");

        let moved = admin.act("/ui/destinations/hook/edit", &[("url", "https://example.com/new")]).await.expect(303);
        assert_eq!(moved.header("location"), "/ui/destinations/hook");
        let shown = app.get("/api/v1/destinations/hook").await.expect(200);
        assert_eq!(shown.text("url"), "https://example.com/new");
        let rotated = admin.act("/ui/destinations/hook/secret", &[]).await.expect(200);
        assert!(after(&rotated.body, "<code data-copy>").starts_with("whsec_"));
        admin.act("/ui/destinations/hook/delete", &[]).await.expect(303);
        app.get("/api/v1/destinations/hook").await.expect(404);
    }

    async fn a_subscription_that_is_deleted_can_be_made_again(db: Db) {
        let app = with_teams(db, "").await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let hook = json!({"name": "hook", "team": "alpha", "channel": "webhook", "url": "https://example.com"});
        app.post_api("/api/v1/destinations", hook).await.expect(201);
        let wrong = [("destination", "hook"), ("events", "task.failed"), ("where", "task.model ==")];
        let refused = admin.act("/ui/new/subscription", &wrong).await.expect(422);
        shows(&refused, "id=\"wrong-where\"");
        shows(&refused, "value=\"task.failed\" checked");
        // The mistake is pointed at.
        shows(&refused, "task.model ==\n             ^");

        let right = [("destination", "hook"), ("events", "task.failed"), ("events", "task.overdue"),
            ("sources", "evolink"), ("where", "task.model == 'a'")];
        admin.act("/ui/new/subscription", &right).await.expect(303);
        let before = app.get("/api/v1/subscriptions").await.items()[0].clone();
        let id = before["id"].as_str().unwrap();
        shows(&admin.get(&format!("/ui/subscriptions/{id}")).await.expect(200), "task.model == &#39;a&#39;");
        let gone = admin.act(&format!("/ui/subscriptions/{id}/delete"), &[]).await.expect(200);
        assert_eq!(app.get("/api/v1/subscriptions").await.items().len(), 0);
        shows(&gone, "Undo");
        let (_, undo) = gone.body.split_once("action=\"/ui/new/subscription\"").unwrap();
        let undo = undo.split("</form>").next().unwrap();
        let fields: Vec<(String, String)> = undo.split("name=\"").skip(1).map(|field| {
            let value = after(field, "value=\"").replace("&#39;", "'");
            (field.split('"').next().unwrap().to_owned(), value)
        }).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        admin.post("/ui/new/subscription", &fields).await.expect(303);
        let mut again = app.get("/api/v1/subscriptions").await.items()[0].clone();
        again["id"] = before["id"].clone();
        assert_eq!(again, before);
    }

    async fn a_source_is_made_and_its_callback_url_signed(db: Db) {
        let app = with_teams(db, "").await;
        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        let wrong = [("name", "studio"), ("provider", "evolink"), ("poll.after", "soon"), ("api_key", "k-1")];
        let refused = admin.act("/ui/new/source", &wrong).await.expect(422);
        shows(&refused, "id=\"wrong-poll.after\"");
        shows(&refused, "value=\"soon\"");
        let right = [("name", "studio"), ("provider", "evolink"), ("teams", "alpha"), ("poll.after", "2m"),
            ("api_key", "k-1")];
        admin.act("/ui/new/source", &right).await.expect(303);
        let made = app.get("/api/v1/sources/studio").await.expect(200);
        assert_eq!((&made.body["poll"]["after"], &made.body["teams"]), (&json!("2m"), &json!(["alpha"])));
        let page = admin.get("/ui/sources/studio?meta=campaign%3Dspring%0Aorder%3D42").await.expect(200);
        let url = after(&page.body, "<code data-copy>").replace("&#38;", "&").replace("&amp;", "&");
        assert!(url.contains("campaign=spring&order=42&cb_sig"), "{url}");
        shows(&admin.get("/ui/sources/studio?meta=cb_x%3D1").await.expect(200), "id=\"wrong-meta\"");

        let edit = admin.get("/ui/sources/studio/edit").await.expect(200);
        shows(&edit, "value=\"2m\"");
        assert!(!edit.body.contains("k-1"), "a secret is shown: {}", edit.body);
        admin.act("/ui/sources/studio/edit", &[("rate", "9/s")]).await.expect(303);
        let changed = app.get("/api/v1/sources/studio").await.expect(200);
        assert_eq!((&changed.body["rate"], &changed.body["can_ask"]), (&json!("9/s"), &json!(true)));
        admin.act("/ui/sources/studio/token", &[]).await.expect(303);
        let tokens = app.get("/api/v1/sources/studio").await.body["callback_tokens"].clone();
        let old = tokens[1]["id"].as_str().unwrap().to_owned();
        admin.act(&format!("/ui/sources/studio/tokens/{old}/retire"), &[]).await.expect(303);
        assert_eq!(app.get("/api/v1/sources/studio").await.body["callback_tokens"].as_array().unwrap().len(), 1);
        admin.act("/ui/sources/studio/delete", &[]).await.expect(303);
        app.get("/api/v1/sources/studio").await.expect(404);
    }

    async fn a_key_is_shown_once_and_revoked(db: Db) {
        let app = with_teams(db, "").await;
        let manage = Browser::signed_in(&app, key(&app, "manage", Some("alpha"), None).await.text("key")).await;
        let fields = [("name", "reports"), ("role", "read"), ("team", "alpha")];
        let made = manage.act("/ui/new/key", &fields).await.expect(200);
        let secret = after(&made.body, "<code data-copy>").to_owned();
        assert!(secret.starts_with("cbk_"), "{secret}");
        let list = manage.get("/ui/keys").await.expect(200);
        assert!(!list.body.contains(&secret) && list.body.contains("reports"));
        Browser::signed_in(&app, &secret).await.get("/").await.expect(200);
        manage.act("/ui/new/key", &[("name", "x"), ("role", "admin")]).await.expect(403);
        shows(&manage.act("/ui/new/key", &[("name", "x"), ("role", "read"), ("team", "bravo")]).await.expect(422),
            "id=\"wrong-team\"");
        let id = after(&list.body, "action=\"/ui/keys/").split('/').next().unwrap().to_owned();
        manage.act(&format!("/ui/keys/{id}/revoke"), &[("name", "reports")]).await.expect(303);
        shows(&manage.get("/ui/audit?action=key.revoke").await.expect(200), "key.revoke");

        let admin = Browser::signed_in(&app, ADMIN_KEY).await;
        admin.act("/ui/new/team", &[("name", "charlie"), ("description", "new")]).await.expect(303);
        admin.act("/ui/teams/charlie", &[("description", "newer")]).await.expect(303);
        shows(&admin.get("/ui/teams").await, "newer");
        shows(&admin.act("/ui/teams/charlie/delete", &[]).await.expect(200), "Undo");
        app.get("/api/v1/teams/charlie").await.expect(404);
    }
}
