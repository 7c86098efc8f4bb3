//! The dashboard's pages at a million events: `cargo bench -- pages`. The rows are those of `lists`; the pages are asked
//! for over HTTP by who has signed in, and what the first view weighs is said beside.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callboard::app::App;
use callboard::config::{Config, Env, Registries};
use callboard::domain::clock::{Clock, ManualClock, Timestamp};
use callboard::flow::roller::Roller;
use serde_json::Value;

use crate::seed::{FIRST_MS, Shape, open, seed};

/// So many events there are, unless another number is asked for.
const EVENTS: u64 = 1_000_000;
/// So often each page is asked for.
const TIMES: u64 = 200;
/// No page should take longer.
const AT_MOST: Duration = Duration::from_millis(50);
const KEY: &str = "the-key-of-the-bench";

/// Pages of which there is one.
const ALONE: [&str; 13] = [
    "/",
    "/?type=task.failed",
    "/?q=campaign%3Dc7",
    "/?model=kling-o3-7",
    "/?q=task-unified-1757169743-0000000000004321",
    "/ui/tasks",
    "/ui/tasks?q=campaign%3Dc7",
    "/ui/callbacks",
    "/ui/deliveries",
    "/ui/deliveries?status=dead",
    "/ui/charts",
    "/ui/destinations",
    "/ui/sources/evolink",
];

/// Who has signed in.
struct Visitor {
    client: reqwest::Client,
    base: String,
    cookie: String,
}

impl Visitor {
    async fn enter(base: String) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let request = client.post(format!("{base}/ui/sign-in")).header("sec-fetch-site", "same-origin");
        let answer = request.body(format!("key={KEY}&back=/")).send().await.expect("an answer");
        let set = answer.headers().get("set-cookie").expect("a session").to_str().expect("a text");
        let cookie = set.split(';').next().unwrap_or_default().to_owned();
        Self { client, base, cookie }
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.base)).header("cookie", &self.cookie).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.expect("a page")
    }

    /// What a list of the API begins with.
    async fn first(&self, list: &str) -> String {
        let answer = self.client.get(format!("{}/api/v1/{list}", self.base)).bearer_auth(KEY).send().await;
        let bytes = answer.expect("an answer").bytes().await.expect("a body");
        let list: Value = serde_json::from_slice(&bytes).expect("a list");
        list["items"][0]["id"].as_str().expect("one is found").to_owned()
    }

    /// Prints how long these take; gives the 99th percentile.
    async fn measure(&self, name: &str, paths: &[String]) -> Duration {
        let mut times = Vec::new();
        for path in paths {
            let begun = Instant::now();
            self.page(path).await;
            times.push(begun.elapsed());
        }
        let first = times[0];
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("{name:<52} {:>10.2} {:>10.2} {:>10.2}", ms(first), ms(p50), ms(p99));
        p99
    }

    /// What a browser loads before it shows the first page.
    async fn weigh(&self) {
        let page = self.page("/").await;
        let mut all = page.len();
        let mut said = format!("page {}", page.len());
        let mut files: Vec<&str> =
            page.match_indices("=\"/ui/assets/").filter_map(|(at, _)| page[at + 2..].split('"').next()).collect();
        files.sort_unstable();
        files.dedup();
        for file in files {
            let bytes = self.page(file).await.len();
            all += bytes;
            said.push_str(&format!(", {} {bytes}", file.rsplit('/').next().unwrap_or_default()));
        }
        println!("the first view: {all} bytes ({said})");
    }
}

fn config(url: &str, directory: &Path) -> Config {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"{KEY}\"\n[database]\nurl = \"{url}\"\n[sources.evolink]\nprovider = \"evolink\"\n\
         [destinations.sink-0]\nteam = \"ops\"\nchannel = \"webhook\"\nurl = \"https://sink.example.com\"\n"
    );
    let env: Env = std::iter::empty::<(String, String)>().collect();
    let config = Config::read(&text, Some(&directory.join("pages.toml")), &env, Registries::built_in());
    config.unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// Measures every page on one database.
pub(crate) async fn run_on(database: &str, url: &str, directory: &Path, asked: Option<u64>) {
    let events = asked.unwrap_or(EVENTS);
    open(database, url).await.close().await;
    let begun = Instant::now();
    seed(database, url, &Shape::grown(false), i64::try_from(events).expect("a number")).await;
    println!("{database}: {events} events made in {:.0} s", begun.elapsed().as_secs_f64());
    // The pages are looked at when the last one was just made.
    let now = Timestamp(FIRST_MS).after(Duration::from_secs(events));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(now));
    let app = App::build(config(url, directory), clock).await.expect("it opens");
    let roller = Roller::new(app.services.store.clone(), app.life.clone());
    while roller.tick().await.expect("they are counted") > 0 {}
    let (base, life) = (format!("http://{}", app.addresses()[0]), app.life.clone());
    let serving = tokio::spawn(app.serve());
    let visitor = Visitor::enter(base).await;
    println!("{database:<52} {:>10} {:>10} {:>10}  ms", "first", "p50", "p99");
    let mut slow = Vec::new();
    for path in ALONE {
        let paths = vec![path.to_owned(); usize::try_from(TIMES).expect("a size")];
        slow.push((path, visitor.measure(path, &paths).await));
    }
    // Of these there is one each, over all that there are.
    let (mut tasks, mut told, mut sent) = (Vec::new(), Vec::new(), Vec::new());
    for number in (0..TIMES).map(|at| at * events / TIMES) {
        let task_id = format!("task-unified-1757169743-{number:016}");
        let event = visitor.first(&format!("events?task_id={task_id}")).await;
        sent.push(format!("/ui/deliveries/{}", visitor.first(&format!("deliveries?event_id={event}")).await));
        told.push(format!("/ui/events/{event}"));
        tasks.push(format!("/ui/tasks/evolink/{task_id}"));
    }
    for (name, paths) in [("/ui/tasks/evolink/…", tasks), ("/ui/events/…", told), ("/ui/deliveries/…", sent)] {
        slow.push((name, visitor.measure(name, &paths).await));
    }
    slow.retain(|(_, p99)| *p99 > AT_MOST);
    let names: Vec<&str> = slow.iter().map(|(name, _)| *name).collect();
    println!("over {} ms: {}", AT_MOST.as_millis(), if names.is_empty() { "none".into() } else { names.join(", ") });
    visitor.weigh().await;
    life.stop();
    serving.await.expect("it ends").expect("it ends well");
}
