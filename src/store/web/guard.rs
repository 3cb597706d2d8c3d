//! Where a client may go: to the service it was told, and elsewhere only where that gives nothing away.
//!
//! A service, or whoever can write into its data, must not make this machine ask others on its network: a metadata service
//! of a cloud, a router, a server on the same machine. So an address that comes from an answer may be private only if the
//! service itself is. What a name stands for is looked up here and handed to the connection as addresses, so that there is no
//! second look-up that could say something else.

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Knows the service, and what was found out about where it is.
pub(super) struct Guard {
    /// The host of the service.
    own: String,
    /// Whether the service is at a private address. Said once, so that it cannot move there.
    private: OnceLock<bool>,
    /// Other hosts that an answer has named.
    strange: Mutex<HashSet<String>>,
}

impl Guard {
    pub(super) fn new(base: &Url) -> Guard {
        let own = base.host_str().unwrap_or_default().to_owned();
        let private = address(base).map(is_private).map(OnceLock::from).unwrap_or_default();
        Guard { own, private, strange: Mutex::default() }
    }

    /// Makes sure that `url`, which an answer has named, may be asked; what its name stands for is looked at when it is.
    pub(super) fn admit(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().unwrap_or_default();
        if host == self.own || self.private.get() == Some(&true) {
            return Ok(());
        }
        if is_loopback(url) || address(url).is_some_and(is_private) {
            return Err(refusal(host));
        }
        self.strange.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
        Ok(())
    }

    /// The addresses of `host` that may be connected to.
    fn admitted(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
        let is_strange = || self.strange.lock().unwrap_or_else(PoisonError::into_inner).contains(host);
        let private = found.iter().any(|it| is_private(it.ip()));
        let allowed = if host == self.own { *self.private.get_or_init(|| private) } else { !is_strange() };
        if private && !allowed { Err(refusal(host)) } else { Ok(found) }
    }
}

/// A name that comes here is that of the service, of an address from an answer, or of a proxy, which may be where it wants.
pub(super) struct Resolver(pub(super) Arc<Guard>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || {
                let found = (name.as_str(), 0).to_socket_addrs()?.collect();
                guard.admitted(name.as_str(), found).map_err(std::io::Error::other)
            });
            let found: Addrs = Box::new(found.await??.into_iter());
            Ok(found)
        })
    }
}

/// Whether `url` is on this very machine by its name alone.
pub(super) fn is_loopback(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    let mapped = |it: Ipv6Addr| it.to_ipv4_mapped().map_or(IpAddr::V6(it), IpAddr::V4);
    match address(url) {
        Some(IpAddr::V6(it)) => mapped(it).is_loopback(),
        Some(it) => it.is_loopback(),
        None => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// The address that stands in `url` instead of a name.
fn address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

fn refusal(host: &str) -> String {
    format!("`{host}` is an address of a private network, and the service that names it is not on one: it is not asked")
}

/// Whether an address is of one machine, one network or nobody (the special-purpose registries of IANA, RFC 6890).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_private_v4(it),
        IpAddr::V6(it) => is_private_v6(it),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    match address.octets() {
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..] | [192, 0, 0 | 2, _] => true,
        [100, it, ..] => it & 0xc0 == 64,
        [172, it, ..] => it & 0xf0 == 16,
        [198, it, ..] => it & 0xfe == 18,
        _ => false,
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    // Some addresses hold one of the older kind: mapped ones, and those of translators and tunnels.
    let embedded = |high: u16, low: u16| is_private_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] | [0x2002, a, b, ..] => embedded(a, b),
        [0x64, 0xff9b, 1, ..] | [0x2001, 0xdb8, ..] => true,
        // Unique local, link-local, site-local and multicast.
        [first, ..] => first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first & 0xff00 == 0xff00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses() {
        let private = "0.0.0.0 10.1.2.3 127.0.0.1 127.9.9.9 169.254.169.254 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 \
                       100.127.0.1 192.0.0.1 198.18.0.1 198.19.0.1 224.0.0.1 255.255.255.255 ::1 :: ::ffff:127.0.0.1 \
                       ::ffff:169.254.169.254 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1:: 2002:7f00:1:: fc00::1 fd12::1 fe80::1 \
                       fec0::1 ff02::1 2001:db8::1 ::7f00:1";
        for it in private.split(' ').filter(|it| !it.is_empty()) {
            assert!(is_private(it.parse().unwrap()), "{it}");
        }
        let public = "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.0.1 198.17.0.1 198.20.0.1 \
                      223.255.255.255 2606:4700::1111 ::ffff:1.1.1.1 64:ff9b::808:808 2002:808:808:: 2001:4860::8888";
        for it in public.split(' ').filter(|it| !it.is_empty()) {
            assert!(!is_private(it.parse().unwrap()), "{it}");
        }
    }

    #[test]
    fn a_name_cannot_move_into_a_private_network() {
        let at = |it: &str| vec![SocketAddr::new(it.parse().unwrap(), 0)];
        let url = |it: &str| Url::parse(it).unwrap();
        let guard = Guard::new(&url("https://service.test/x"));
        assert!(guard.admitted("service.test", at("1.1.1.1")).is_ok());
        assert!(guard.admitted("service.test", at("127.0.0.1")).is_err());
        // The name of a proxy.
        assert!(guard.admitted("proxy.test", at("10.0.0.1")).is_ok());
        guard.admit(&url("https://other.test/")).unwrap();
        assert!(guard.admitted("other.test", at("1.1.1.1")).is_ok());
        assert!(guard.admitted("other.test", at("169.254.169.254")).is_err());
        for it in ["http://127.0.0.1/", "http://localhost:1/", "http://a.localhost/", "http://[::1]/", "http://0x7f.1/"]
        {
            assert!(guard.admit(&url(it)).is_err(), "{it}");
        }
        let inside = Guard::new(&url("https://service.test/x"));
        assert!(inside.admitted("service.test", at("10.0.0.1")).is_ok());
        assert!(inside.admit(&url("http://10.0.0.2/")).is_ok());
        assert!(Guard::new(&url("http://127.0.0.1:1/")).admit(&url("http://127.0.0.1:2/")).is_ok());
    }
}
