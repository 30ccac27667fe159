//! Endpoints: whether what an instance serves over HTTP answers, and is what it should be.
//!
//! Every endpoint is asked at every look, with a fresh connection, all of an instance at once, as far as the whole fleet
//! leaves room. One that refuses, hangs or answers wrongly is known to be down; unknown is only what could not even be
//! asked. `judge` says what is asked of each kind of endpoint, and what the answer tells.
//!
//! This is not for what the answer could tell beyond that: a Hermes home says more, and says it cheaper.

mod judge;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::problems::Problems;
use super::{Answering, NetworkCollector, NetworkLook, Part};
use crate::exporter::endpoint::{Endpoint, Scheme};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::endpoints::{self, Endpoints, Probe};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::descriptors;
use crate::system::http::connect::Place;
use crate::system::http::tls::Trust;
use crate::system::http::{BodyUse, Client, Get};

/// Endpoints of all instances together that are asked at the same time, at most.
const MOST_OF_THE_FLEET: u64 = 2_048;

/// One of so many descriptors is for asking endpoints. The others are for all that is read meanwhile.
const SHARE_OF_DESCRIPTORS: u64 = 4;

/// The room for endpoints that are being asked: one for the whole process, whose descriptors they share.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(room_within(descriptors::limit()))));

/// How many endpoints may be asked at once where there may be so many descriptors.
fn room_within(descriptors: Option<u64>) -> usize {
    let share = descriptors.map_or(MOST_OF_THE_FLEET, |most| most / SHARE_OF_DESCRIPTORS);
    share.clamp(1, MOST_OF_THE_FLEET) as usize
}

/// Asks the endpoints of one instance.
#[derive(Debug)]
pub struct EndpointsCollector {
    endpoints: Vec<Arc<Asked>>,
    room: Arc<Semaphore>,
}

impl EndpointsCollector {
    /// A collector for the endpoints of `instance`.
    pub fn new(instance: &Instance) -> Self {
        EndpointsCollector {
            endpoints: instance.endpoints.iter().cloned().map(Asked::new).map(Arc::new).collect(),
            room: Arc::clone(&ROOM),
        }
    }

    async fn ask(&self, deadline: Instant, problems: &mut Problems) -> Endpoints {
        let mut found = BTreeMap::new();
        for (asked, probe) in self.endpoints.iter().zip(self.ask_all(deadline).await) {
            if let Reading::Unknown(reason) = probe {
                problems.note(&format!("endpoint {}", asked.endpoint.name), reason);
            }
            let endpoint = endpoints::Endpoint { kind: asked.endpoint.kind, probe };
            found.insert(Label::new(&asked.endpoint.name), endpoint);
        }
        Endpoints(found)
    }

    /// Asks all of them at once, because each may be given nearly all the time there is; the readings stand in their order.
    async fn ask_all(&self, deadline: Instant) -> Vec<Reading<Probe>> {
        // Aborts what is under way when it is dropped.
        let mut under_way = JoinSet::new();
        for (place, asked) in self.endpoints.iter().enumerate() {
            let (room, asked) = (Arc::clone(&self.room), Arc::clone(asked));
            under_way.spawn(async move { (place, asked.probe(&room, deadline).await) });
        }
        // What is not answered below has panicked.
        let mut readings = vec![Reading::Unknown(Reason::Io); self.endpoints.len()];
        while let Some(ended) = under_way.join_next().await {
            if let Ok((place, reading)) = ended
                && let Some(slot) = readings.get_mut(place)
            {
                *slot = reading;
            }
        }
        readings
    }
}

impl NetworkCollector for EndpointsCollector {
    fn has_nothing_to_ask(&self) -> bool {
        self.endpoints.is_empty()
    }

    fn collect<'a>(&'a mut self, look: NetworkLook<'a>, problems: &'a mut Problems) -> Answering<'a> {
        Box::pin(async move {
            let found = self.ask(look.deadline, problems).await;
            Part::Endpoints(Reading::Known(Arc::new(found)))
        })
    }
}

/// One endpoint, and how it is asked.
#[derive(Debug)]
struct Asked {
    endpoint: Endpoint,
    client: Client,
    /// `None` for a Host header that can not be sent, which a valid configuration does not have.
    host: Option<HeaderValue>,
}

impl Asked {
    fn new(endpoint: Endpoint) -> Asked {
        let place = Place::host(&endpoint.url.host, endpoint.url.port);
        let client = match (endpoint.url.scheme, &endpoint.ca_file) {
            (Scheme::Http, _) => Client::plain(place),
            (Scheme::Https, None) => Client::tls(place, Trust::system()),
            (Scheme::Https, Some(path)) => Client::tls(place, Trust::file(path.clone())),
        };
        let host = endpoint.host.clone().unwrap_or_else(|| endpoint.url.authority());
        Asked { client, host: HeaderValue::try_from(host).ok(), endpoint }
    }

    /// Asks it once there is room. Its own time begins only then: who had to wait was not asked yet.
    async fn probe(&self, room: &Semaphore, deadline: Instant) -> Reading<Probe> {
        let Ok(_room) = tokio::time::timeout_at(deadline.into(), room.acquire()).await else {
            return Reading::Unknown(Reason::Timeout);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(host) = self.host.clone().filter(|_| left > Duration::ZERO) else {
            return Reading::Unknown(if self.host.is_none() { Reason::Unsupported } else { Reason::Timeout });
        };
        let (path, body) = judge::question(&self.endpoint);
        let get = Get { path, host, body, timeout: self.endpoint.timeout.min(left) };
        let outcome = self.client.get(&get).await;
        let is_cut_short = get.timeout < self.endpoint.timeout;
        judge::answer(&self.endpoint, outcome, is_cut_short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::endpoint::{MOST_ENDPOINTS, Url};
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use crate::exporter::snapshot::endpoints::{Access, EndpointKind, Failure, Verdict};
    use crate::system::http::scripted::{Script, Server, answer, refusing};
    use std::path::Path;
    use std::sync::atomic::Ordering;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const REFUSAL: &str = include_str!("../../../../tests/fixtures/hermes-0.19.0/api/dashboard_refusal_loopback.json");
    const REFUSAL_GATED: &str =
        include_str!("../../../../tests/fixtures/hermes-0.19.0/api/dashboard_refusal_gated.json");
    const API_SERVER: &str = include_str!("../../../../tests/fixtures/hermes-0.19.0/api/api_server_health.json");
    const WEBHOOK: &str = include_str!("../../../../tests/fixtures/hermes-0.19.0/api/webhook_health.json");
    const PAGE: &str = "<!doctype html><html><head><title>Hermes</title></head></html>";

    const LONG: Duration = Duration::from_secs(60);

    fn endpoint(kind: EndpointKind, port: u16) -> Endpoint {
        Endpoint {
            name: "e".to_owned(),
            kind,
            url: Url { scheme: Scheme::Http, host: "127.0.0.1".to_owned(), port, path: "/".to_owned() },
            host: None,
            timeout: LONG,
            expect_status: Vec::new(),
            ca_file: None,
            link: None,
        }
    }

    async fn look(endpoints: Vec<Endpoint>, left: Duration) -> (Endpoints, Vec<Problem>) {
        let mut instance = instance_at(Path::new("/nowhere"));
        instance.endpoints = endpoints;
        let mut problems = Problems::default();
        let found = EndpointsCollector::new(&instance).ask(Instant::now() + left, &mut problems).await;
        (found, problems.into_sorted())
    }

    async fn probe(endpoint: Endpoint) -> Probe {
        let (endpoints, problems) = look(vec![endpoint], 2 * LONG).await;
        assert_eq!(problems, []);
        endpoints.0[&Label::new("e")].probe.known().copied().unwrap()
    }

    async fn probe_of(kind: EndpointKind, script: Script) -> Probe {
        probe(endpoint(kind, Server::plain(script).await.address.port())).await
    }

    async fn verdict_of(kind: EndpointKind, status: &str, body: &str) -> (Verdict, Reading<Access>) {
        let probe = probe_of(kind, Script::Answer(answer(status, body))).await;
        (probe.verdict, probe.access)
    }

    fn down(failure: Failure) -> (Verdict, Reading<Access>) {
        (Verdict::Down(failure), Reading::Absent)
    }

    #[tokio::test]
    async fn a_dashboard_is_known_by_how_it_refuses() {
        let verdict = async |status, body| verdict_of(EndpointKind::HermesDashboard, status, body).await;
        let up = |access| (Verdict::Up, Reading::Known(access));
        assert_eq!(verdict("401 Unauthorized", REFUSAL).await, up(Access::Open));
        assert_eq!(verdict("401 Unauthorized", REFUSAL_GATED).await, up(Access::Login));
        // What others answer.
        assert_eq!(verdict("200 OK", PAGE).await, down(Failure::Content));
        assert_eq!(verdict("200 OK", REFUSAL).await, down(Failure::Content));
        assert_eq!(verdict("401 Unauthorized", PAGE).await, down(Failure::Content));
        assert_eq!(verdict("401 Unauthorized", r#"{"detail":"Not authenticated"}"#).await, down(Failure::Content));
        assert_eq!(verdict("401 Unauthorized", r#"{"detail":["Unauthorized"]}"#).await, down(Failure::Content));
        let other = r#"{"error":"unauthorized","detail":"Unauthorized"}"#;
        assert_eq!(verdict("401 Unauthorized", other).await, down(Failure::Content));
        assert_eq!(verdict("404 Not Found", r#"{"detail":"Not Found"}"#).await, down(Failure::Status));
        assert_eq!(verdict("302 Found", "").await, down(Failure::Status));
        assert_eq!(verdict("502 Bad Gateway", PAGE).await, down(Failure::Status));
    }

    #[tokio::test]
    async fn a_gateway_says_itself_who_it_is() {
        let (api, webhook) = (EndpointKind::HermesApiServer, EndpointKind::HermesWebhook);
        assert_eq!(verdict_of(api, "200 OK", API_SERVER).await, (Verdict::Up, Reading::Absent));
        assert_eq!(verdict_of(webhook, "200 OK", WEBHOOK).await, (Verdict::Up, Reading::Absent));
        assert_eq!(verdict_of(api, "200 OK", WEBHOOK).await, down(Failure::Content));
        assert_eq!(verdict_of(webhook, "200 OK", API_SERVER).await, down(Failure::Content));
        assert_eq!(verdict_of(api, "200 OK", PAGE).await, down(Failure::Content));
        assert_eq!(verdict_of(api, "200 OK", &"[".repeat(60_000)).await, down(Failure::Content));
        let sick = r#"{"status":"error","platform":"hermes-agent"}"#;
        assert_eq!(verdict_of(api, "200 OK", sick).await, down(Failure::Content));
        assert_eq!(verdict_of(api, "503 Service Unavailable", API_SERVER).await, down(Failure::Status));
    }

    #[tokio::test]
    async fn of_other_servers_the_status_counts() {
        let verdict = async |status: &str, expect_status: &[u16]| {
            // The body never ends, and is not waited for.
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 99999999\r\n\r\n");
            let server = Server::plain(Script::Hang(head.into_bytes())).await;
            let mut endpoint = endpoint(EndpointKind::Http, server.address.port());
            endpoint.expect_status = expect_status.to_vec();
            let probe = probe(endpoint).await;
            (probe.verdict, probe.status_code.known().copied().unwrap())
        };
        assert_eq!(verdict("200 OK", &[]).await, (Verdict::Up, 200));
        assert_eq!(verdict("302 Found", &[]).await, (Verdict::Up, 302));
        assert_eq!(verdict("401 Unauthorized", &[]).await, (Verdict::Down(Failure::Status), 401));
        assert_eq!(verdict("401 Unauthorized", &[200, 401]).await, (Verdict::Up, 401));
        assert_eq!(verdict("204 No Content", &[200, 401]).await, (Verdict::Down(Failure::Status), 204));
    }

    #[tokio::test]
    async fn every_way_to_fail_is_known_to_be_down() {
        let kind = EndpointKind::HermesWebhook;
        let (address, _socket) = refusing();
        let refused = probe(endpoint(kind, address.port())).await;
        assert_eq!((refused.verdict, refused.status_code), (Verdict::Down(Failure::Refused), Reading::Absent));
        for (script, failure) in [
            (Script::Close, Failure::Reset),
            (Script::Answer(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec()), Failure::Protocol),
            (Script::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"x".repeat(1_000)), Failure::TooLarge),
        ] {
            assert_eq!(probe_of(kind, script).await.verdict, Verdict::Down(failure));
        }
        let mut unnamed = endpoint(kind, 80);
        unnamed.url.host = format!("{}.invalid", "a".repeat(64));
        assert_eq!(probe(unnamed).await.verdict, Verdict::Down(Failure::Dns));
        let server = Server::plain(Script::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".to_vec())).await;
        let mut hanging = endpoint(kind, server.address.port());
        hanging.timeout = Duration::from_millis(20);
        let hanging = probe(hanging).await;
        assert_eq!((hanging.verdict, hanging.status_code), (Verdict::Down(Failure::Timeout), Reading::Known(200)));
        assert!(hanging.duration_seconds >= 0.02);
    }

    #[tokio::test]
    async fn what_could_not_be_asked_is_unknown() {
        let server = Server::plain(Script::Hang(Vec::new())).await;
        // It had less time than it was promised.
        let cut_short = endpoint(EndpointKind::Http, server.address.port());
        let mut without_authorities = endpoint(EndpointKind::Http, server.address.port());
        without_authorities.name = "tls".to_owned();
        without_authorities.url.scheme = Scheme::Https;
        without_authorities.ca_file = Some("/nowhere/ca.pem".into());
        let (endpoints, problems) = look(vec![cut_short, without_authorities], Duration::from_millis(50)).await;
        assert_eq!(endpoints.0[&Label::new("e")].probe, Reading::Unknown(Reason::Timeout));
        assert_eq!(endpoints.0[&Label::new("tls")].probe, Reading::Unknown(Reason::NotFound));
        let problem = |reason, subject: &str| Problem { reason, subject: subject.to_owned() };
        assert_eq!(problems, [problem(Reason::Timeout, "endpoint e"), problem(Reason::NotFound, "endpoint tls")]);
    }

    #[tokio::test]
    async fn one_that_hangs_does_not_hold_up_the_others() {
        let hanging = Server::plain(Script::Hang(Vec::new())).await;
        let good = Server::plain(Script::Answer(answer("200 OK", ""))).await;
        let mut all = Vec::new();
        for number in 0..16 {
            let port = if number == 0 { good.address.port() } else { hanging.address.port() };
            let mut one = endpoint(EndpointKind::Http, port);
            one.name = format!("e{number}");
            one.timeout = Duration::from_millis(50);
            all.push(one);
        }
        let (endpoints, problems) = look(all, LONG).await;
        assert_eq!(problems, []);
        let verdict = |name: &str| endpoints.0[&Label::new(name)].probe.map(|probe| probe.verdict);
        assert_eq!(verdict("e0"), Reading::Known(Verdict::Up));
        for number in 1..16 {
            assert_eq!(verdict(&format!("e{number}")), Reading::Known(Verdict::Down(Failure::Timeout)));
        }
    }

    #[tokio::test]
    async fn all_that_an_instance_may_have_are_asked_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut instance = instance_at(Path::new("/nowhere"));
        for number in 0..MOST_ENDPOINTS {
            let mut one = endpoint(EndpointKind::Http, listener.local_addr().unwrap().port());
            one.name = format!("e{number}");
            one.timeout = Duration::from_secs(10);
            instance.endpoints.push(one);
        }
        // It answers to nobody before all are there.
        tokio::spawn(async move {
            let mut streams = Vec::new();
            while streams.len() < MOST_ENDPOINTS {
                streams.push(listener.accept().await.unwrap().0);
            }
            for mut stream in streams {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(&answer("200 OK", "")).await;
            }
        });
        let room = Arc::new(Semaphore::new(MOST_ENDPOINTS));
        let collector = EndpointsCollector { room, ..EndpointsCollector::new(&instance) };
        let found = collector.ask(Instant::now() + LONG, &mut Problems::default()).await;
        for (name, endpoint) in &found.0 {
            assert_eq!(endpoint.probe.map(|probe| probe.verdict), Reading::Known(Verdict::Up), "{name:?}");
        }
        assert_eq!(found.0.len(), MOST_ENDPOINTS);
    }

    #[tokio::test]
    async fn who_finds_no_room_was_not_asked_and_is_not_down() {
        let server = Server::plain(Script::Answer(answer("200 OK", ""))).await;
        let mut instance = instance_at(Path::new("/nowhere"));
        instance.endpoints = vec![endpoint(EndpointKind::Http, server.address.port())];
        let room = Arc::new(Semaphore::new(1));
        let collector = EndpointsCollector { room: Arc::clone(&room), ..EndpointsCollector::new(&instance) };
        let probe = async |left| {
            let found = collector.ask(Instant::now() + left, &mut Problems::default()).await;
            found.0[&Label::new("e")].probe.map(|probe| probe.verdict)
        };
        let taken = room.acquire().await.unwrap();
        assert_eq!(probe(Duration::from_millis(20)).await, Reading::Unknown(Reason::Timeout));
        assert_eq!(server.accepted.load(Ordering::SeqCst), 0);
        drop(taken);
        assert_eq!(probe(LONG).await, Reading::Known(Verdict::Up));
        assert_eq!(room.available_permits(), 1);
    }

    #[test]
    fn all_instances_share_the_room_that_descriptors_leave() {
        let collector = || EndpointsCollector::new(&instance_at(Path::new("/nowhere")));
        assert!(Arc::ptr_eq(&collector().room, &collector().room));
        for (descriptors, room) in
            [(Some(0), 1), (Some(20), 5), (Some(1_024), 256), (Some(65_536), 2_048), (None, 2_048)]
        {
            assert_eq!(room_within(descriptors), room);
        }
    }

    #[tokio::test]
    async fn paths_are_joined_as_a_person_would() {
        for (kind, typed, asked) in [
            (EndpointKind::HermesDashboard, "/", "/api/auth/ws-ticket"),
            (EndpointKind::HermesDashboard, "/hermes/", "/hermes/api/auth/ws-ticket"),
            (EndpointKind::HermesDashboard, "/hermes", "/hermes/api/auth/ws-ticket"),
            (EndpointKind::HermesApiServer, "/", "/health"),
            (EndpointKind::HermesApiServer, "/v1/", "/v1/health"),
            (EndpointKind::HermesApiServer, "/v1/health", "/v1/health"),
            (EndpointKind::HermesWebhook, "/hooks", "/hooks/health"),
            (EndpointKind::Http, "/a/b/?c=d", "/a/b/?c=d"),
        ] {
            let server = Server::plain(Script::Answer(answer("200 OK", ""))).await;
            let mut endpoint = endpoint(kind, server.address.port());
            endpoint.url.path = typed.to_owned();
            endpoint.host = Some("hermes.example:9119".to_owned());
            probe(endpoint).await;
            let begin = format!("GET {asked} HTTP/1.1\r\nhost: hermes.example:9119\r\n");
            assert!(server.requests()[0].starts_with(&begin), "{:?}", server.requests());
            let request = server.requests()[0].to_ascii_lowercase();
            assert!(!request.contains("authorization") && !request.contains("cookie"));
        }
    }

    #[test]
    fn an_instance_without_endpoints_has_nothing_to_ask() {
        assert!(EndpointsCollector::new(&instance_at(Path::new("/nowhere"))).has_nothing_to_ask());
    }
}
