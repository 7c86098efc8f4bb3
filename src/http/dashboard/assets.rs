//! The files that the pages load. Each has its content's hash in its address, and may be kept for ever.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;
use sha2::{Digest, Sha256};

use super::super::problem::{NO_SUCH_ROUTE, Problem};

/// A file within the binary.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    url: LazyLock<String, fn() -> String>,
}

macro_rules! assets {
    ($($(#[$about:meta])* $constant:ident $name:literal $kind:literal;)*) => {
        $($(#[$about])*
        pub(super) static $constant: Asset = Asset {
            name: $name,
            kind: $kind,
            text: include_str!(concat!("assets/", $name)),
            url: LazyLock::new(|| address($name, include_str!(concat!("assets/", $name)))),
        };)*

        static ALL: &[&Asset] = &[$(&$constant),*];
    };
}

assets! {
    /// How the pages look.
    STYLE "style.css" "text/css; charset=utf-8";
    /// What moves on them.
    SCRIPT "script.js" "text/javascript; charset=utf-8";
    /// The sign of the house.
    ICON "icon.svg" "image/svg+xml";
}

fn address(name: &str, text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let version: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/ui/assets/{version}/{name}")
}

impl Asset {
    /// Where it is.
    pub(super) fn url(&'static self) -> &'static str {
        &self.url
    }
}

/// Gives a file. One of another version is not there: it would be kept under an address that is not its own.
pub(super) async fn give(path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (version, name) = path.into_inner();
    let asked = format!("/ui/assets/{version}/{name}");
    let asset = ALL.iter().find(|asset| asset.name == name && asset.url() == asked).ok_or(NO_SUCH_ROUTE)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.kind)
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        // An image is a document of its own where somebody opens it.
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"))
        .body(asset.text))
}
