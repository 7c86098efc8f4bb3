//! Who is asking: the peer, or behind a trusted proxy the client that it names.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

/// Headers in which proxies name the client, those that hold one address first.
const ONE_ADDRESS: [&str; 2] = ["fly-client-ip", "x-real-ip"];
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The client's address.
pub(super) fn address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let header = |name: &str| request.headers().get(name)?.to_str().ok();
    if let Some(named) = ONE_ADDRESS.iter().find_map(|name| header(name)?.trim().parse().ok()) {
        return Some(named);
    }
    // Each proxy adds its peer at the end: the last one that is no proxy of ours is the client.
    let forwarded = header(FORWARDED_FOR).unwrap_or_default();
    let named = forwarded.rsplit(',').map_while(|part| part.trim().parse::<IpAddr>().ok());
    let mut last = peer;
    for address in named {
        last = address;
        if !is_trusted(&address) {
            break;
        }
    }
    Some(last)
}

/// Whether the request comes from this machine itself, and not through a proxy on it.
pub(super) fn is_loopback(request: &HttpRequest) -> bool {
    request.peer_addr().is_some_and(|peer| peer.ip().is_loopback()) && !is_forwarded(request)
}

/// Whether a proxy says that it asks for somebody else.
pub(super) fn is_forwarded(request: &HttpRequest) -> bool {
    let forwarded = [FORWARDED_FOR, FORWARDED_PROTO, "forwarded", ONE_ADDRESS[0], ONE_ADDRESS[1]];
    forwarded.iter().any(|name| request.headers().contains_key(*name))
}

/// What the client asked a trusted proxy by, `http` or `https`; the first proxy's word where there are several.
pub(super) fn forwarded_scheme(request: &HttpRequest, trusted: &[IpNet]) -> Option<String> {
    let peer = request.peer_addr()?.ip();
    let said = request.headers().get(FORWARDED_PROTO)?.to_str().ok()?;
    let is_trusted = trusted.iter().any(|net| net.contains(&peer));
    is_trusted.then(|| said.split(',').next().unwrap_or_default().trim().to_ascii_lowercase())
}
