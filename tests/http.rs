//! The routes: formats, filters, refusals, reload. Asked through the router itself; no port is bound.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::reload::{ConfigSource, Loader, Reloader};
use hermes_exporter::exporter::serve::router;
use serde_json::Value;
use tower::ServiceExt;

use crate::homes::Homes;

struct Server {
    homes: Homes,
    file: PathBuf,
    reloader: Arc<Reloader>,
    router: Router,
}

impl Server {
    fn start() -> Server {
        let homes = Homes::unpack();
        let file = homes.vijay().with_file_name("hermes-exporter.yml");
        std::fs::write(&file, homes.config_text("thresholds: {disk_available: off, disk_available_critical: off}\n"))
            .unwrap();
        let loader = Loader { source: ConfigSource::File(file.clone()), switches: Vec::new() };
        let reloader = Arc::new(Reloader::new(loader, Background::inline()).unwrap());
        Server { homes, file, router: router(Arc::clone(&reloader), "/metrics"), reloader }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, body.to_vec())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let (status, _, body) = self.ask(Method::GET, path, &[]).await;
        (status, String::from_utf8(body).unwrap())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, headers, body) = self.ask(Method::GET, path, &[("host", "exporter.example:10119")]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_slice(&body).unwrap()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn on_a_server<F: Future<Output = ()>>(test: impl FnOnce(Arc<Server>) -> F) {
    runtime().block_on(async { test(Arc::new(Server::start())).await });
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    on_a_server(async |server| {
        for (accept, content_type, ends_in) in [
            (
                "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "# EOF\n",
            ),
            ("text/plain", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        ] {
            let (status, headers, body) = server.ask(Method::GET, "/metrics", &[("accept", accept)]).await;
            let body = String::from_utf8(body).unwrap();
            assert_eq!(status, StatusCode::OK);
            assert_eq!(headers["content-type"], content_type);
            assert!(body.ends_with(ends_in));
            assert!(body.contains("hermes_gateway_up{instance=\"vijay\"} 0\n"));
            assert!(body.contains("hermes_exporter_config_last_reload_successful 1\n"));
            assert!(body.contains("process_resident_memory_bytes "));
        }
    });
}

#[test]
fn metrics_are_compressed_for_who_asks() {
    on_a_server(async |server| {
        let (_, headers, body) = server.ask(Method::GET, "/metrics", &[("accept-encoding", "gzip")]).await;
        assert_eq!(headers["content-encoding"], "gzip");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
        assert!(text.contains("hermes_gateway_up{instance=\"vijay\"} 0\n"));
        assert!(body.len() * 3 < text.len());
    });
}

#[test]
fn filters_leave_out_what_is_not_asked_for() {
    on_a_server(async |server| {
        let (_, text) = server.get("/metrics?collect[]=cron&collect%5B%5D=host").await;
        assert!(text.contains("hermes_cron_jobs{instance=\"vijay\"") && text.contains("hermes_host_cpus "));
        assert!(!text.contains("hermes_gateway_up") && !text.contains("collector=\"sessions\""));
        let (_, text) = server.get("/metrics?instance=bheem").await;
        assert!(text.contains("hermes_gateway_up{instance=\"bheem\"}"));
        assert!(!text.contains("vijay") && !text.contains("hermes_host_") && !text.contains("process_"));
        let (_, text) = server.get("/metrics?collect=host,tailscale").await;
        assert!(text.contains("hermes_host_cpus ") && !text.contains("instance="));
        let (status, _) = server.get("/metrics?foo=bar&module=x").await;
        assert_eq!(status, StatusCode::OK, "parameters of others are left alone");
    });
}

#[test]
fn what_is_wrong_is_counted_only_where_all_of_it_was_looked_at() {
    on_a_server(async |server| {
        let judged = async |query: &str| {
            let (_, text) = server.get(&format!("/metrics{query}")).await;
            let is_count = |line: &&str| line.starts_with("hermes_findings{") && line.contains("critical");
            let counts: Vec<_> = text.lines().filter(is_count).map(str::to_owned).collect();
            counts
        };
        let (vijay, bheem, machine) = (
            "hermes_findings{instance=\"vijay\",severity=\"critical\"} 1",
            "hermes_findings{instance=\"bheem\",severity=\"critical\"} 1",
            "hermes_findings{severity=\"critical\"} 0",
        );
        assert_eq!(judged("").await, [vijay, bheem, machine]);
        // Prometheus gives the label of the target to what has none.
        assert_eq!(judged("?instance=vijay").await, [vijay]);
        assert_eq!(judged("?collect=host,tailscale").await, [machine]);
        for part in ["?collect[]=cron", "?collect=host", "?collect=cron&instance=vijay"] {
            assert_eq!(judged(part).await, [""; 0], "{part}");
        }
        let (_, text) = server.get("/metrics?collect=cron").await;
        assert!(!text.contains("hermes_finding_info"), "a job is not overdue because nobody looked at the gateway");
    });
}

#[test]
fn refusals_say_what_would_be_right() {
    on_a_server(async |server| {
        let (status, text) = server.get("/metrics?collect[]=crom").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(
            text,
            "there is no collector called \"crom\"; there are: gateway, units, cron, credentials, backup, inventory, sessions, activity, home, endpoints, exposure, guardrails, logs, report, host, tailscale\n"
        );
        for path in ["/metrics?instance=nobody", "/api/v1/instances/nobody"] {
            let (status, text) = server.get(path).await;
            assert_eq!(
                (status, text.as_str()),
                (StatusCode::NOT_FOUND, "there is no instance called \"nobody\"; /api/v1/instances lists them\n")
            );
        }
        assert_eq!(server.get("/nothing").await.0, StatusCode::NOT_FOUND);
        assert_eq!(server.ask(Method::POST, "/metrics", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(server.ask(Method::GET, "/-/reload", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
    });
}

#[test]
fn an_odd_timeout_header_does_no_harm() {
    on_a_server(async |server| {
        for value in ["0", "-1", "nan", "inf", "1e300", "soon", "0.001", ""] {
            let (status, _, _) =
                server.ask(Method::GET, "/metrics", &[("x-prometheus-scrape-timeout-seconds", value)]).await;
            assert_eq!(status, StatusCode::OK, "{value}");
        }
    });
}

#[test]
fn snapshots_targets_and_health() {
    on_a_server(async |server| {
        let all = server.json("/api/v1/instances").await;
        assert_eq!(all["instances"].as_array().unwrap().len(), 2);
        assert_eq!(all["instances"][0]["gateway"]["known"]["state"]["known"], "crashed");
        assert!(all["host"]["known"]["cpus"].as_u64().unwrap() > 0);
        let one = server.json("/api/v1/instances/bheem").await;
        assert_eq!((&one["identity"]["name"], &one["format"]), (&"bheem".into(), &1.into()));
        let targets = server.json("/sd").await;
        assert_eq!(
            targets[0],
            serde_json::json!({
                "targets": ["exporter.example:10119"],
                "labels": {"__metrics_path__": "/metrics", "__param_instance": "vijay", "instance": "vijay"},
            })
        );
        assert_eq!(targets[2]["labels"]["__param_collect"], "host,tailscale");
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!(server.get(path).await.0, StatusCode::OK);
        }
    });
}

#[test]
fn findings_are_told_by_severity_and_instance() {
    on_a_server(async |server| {
        let codes = async |query: &str| {
            let body = server.json(&format!("/api/v1/findings{query}")).await;
            let code = |finding: &Value| {
                let text = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
                (text("instance"), text("severity"), text("finding"))
            };
            body["findings"].as_array().unwrap().iter().map(code).collect::<Vec<_>>()
        };
        let of = |instance: &str, severity: &str, finding: &str| {
            (instance.to_owned(), severity.to_owned(), finding.to_owned())
        };
        let critical = [of("vijay", "critical", "gateway_crashed"), of("bheem", "critical", "gateway_down")];
        let all = codes("").await;
        assert_eq!(all[..2], critical);
        assert!(all.contains(&of("-", "warning", "tailscale_down")));
        assert!(all.iter().any(|(_, severity, _)| severity == "info"));
        assert_eq!(codes("?severity=critical").await, critical);
        let two = codes("?severity=info&severity=critical&instance=vijay").await;
        assert_eq!(two, [critical[0].clone(), of("vijay", "info", "update_available")]);
        assert_eq!(codes("?severity=critical,info&instance=vijay").await, two);
        assert!(!codes("?collect[]=home").await.is_empty(), "always by all collectors");

        let body = server.json("/api/v1/findings?severity=info").await;
        assert_eq!((&body["instances"], &body["healthy"]), (&2.into(), &0.into()));
        assert_eq!(body["health"][0], serde_json::json!({"instance": "vijay", "health": "critical"}));
        assert_eq!(body["health"][2], serde_json::json!({"instance": null, "health": "warning"}));
        assert_eq!(body["findings"][0]["runbook"], "/runbooks/update_available");

        std::fs::remove_dir_all(server.homes.bheem()).unwrap();
        let body = server.json("/api/v1/findings?instance=bheem").await;
        assert_eq!(body["health"], serde_json::json!([{"instance": "bheem", "health": "unknown"}]));
        let unknown = &body["unknown"][0];
        assert_eq!((&unknown["subject"], &unknown["reason"]), (&"home".into(), &"not_found".into()));
        assert_eq!(body["findings"], serde_json::json!([]));

        let (status, text) = server.get("/api/v1/findings?severity=fatal").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::BAD_REQUEST, "there is no severity called \"fatal\"; there are: info, warning, critical\n")
        );
        assert_eq!(server.get("/api/v1/findings?instance=nobody").await.0, StatusCode::NOT_FOUND);
    });
}

#[test]
fn the_status_page_shows_the_instances_and_may_load_nothing_from_elsewhere() {
    on_a_server(async |server| {
        let (status, headers, body) = server.ask(Method::GET, "/", &[]).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        assert_eq!(
            (&headers["x-content-type-options"], &headers["referrer-policy"]),
            (&"nosniff".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        assert_eq!(headers["cache-control"], "no-store");
        assert!(body.contains("href=\"/api/v1/instances/vijay\"") && body.contains("crashed"));
        let (_, only) = server.get("/?instance=bheem&severity=dreadful").await;
        assert!(!only.contains("id=\"instance-vijay\"") && only.contains("id=\"instance-bheem\""));
        assert_eq!(server.get("/?%ff&severity").await.0, StatusCode::OK, "what can not be read asks for nothing");
    });
}

#[test]
fn what_the_page_loads_may_be_kept_for_as_long_as_it_is_the_same() {
    on_a_server(async |server| {
        let (_, page) = server.get("/").await;
        let loaded: Vec<_> = page.split('"').filter(|word| word.starts_with("/-/assets/")).collect();
        assert_eq!(loaded.len(), 3);
        for path in loaded {
            let (status, headers, _) = server.ask(Method::GET, path, &[]).await;
            assert_eq!(
                (status, headers["cache-control"].to_str().unwrap()),
                (StatusCode::OK, "public, max-age=31536000, immutable")
            );
            let (status, headers, _) = server.ask(Method::GET, path.split('?').next().unwrap(), &[]).await;
            assert_eq!((status, headers["cache-control"].to_str().unwrap()), (StatusCode::OK, "no-cache"));
        }
        assert_eq!(server.get("/-/assets/..%2fsecret").await.0, StatusCode::NOT_FOUND);
    });
}

#[test]
fn ssh_goes_to_where_the_configuration_says_or_where_the_page_was_asked_for() {
    on_a_server(async |server| {
        let with = |more: &str| {
            let endpoint = r#"{name: dashboard, url: "http://127.0.0.1:9119/", kind: hermes-dashboard}"#;
            let home = server.homes.vijay();
            format!(
                "instances: [{{name: a, home: {}, user: uma, endpoints: [{endpoint}], units: []}}]\n{more}",
                home.display()
            )
        };
        let asked =
            async |host: &str| String::from_utf8(server.ask(Method::GET, "/", &[("host", host)]).await.2).unwrap();
        std::fs::write(&server.file, with("")).unwrap();
        server.reloader.reload().await.unwrap();
        assert!(
            asked("vm.tailnet.ts.net:10119").await.contains("ssh -N -L 9119:127.0.0.1:9119 uma@vm.tailnet.ts.net<")
        );
        let by_itself = asked("127.0.0.1:10119").await;
        assert!(by_itself.contains("9119:127.0.0.1:9119 uma@") && !by_itself.contains("uma@127.0.0.1"));
        std::fs::write(&server.file, with("ssh_host: box\n")).unwrap();
        server.reloader.reload().await.unwrap();
        assert!(asked("vm.tailnet.ts.net:10119").await.contains("uma@box<"));
    });
}

#[test]
fn the_status_page_tells_of_a_configuration_that_could_not_be_loaded_until_one_is() {
    on_a_server(async |server| {
        let is_told = async || server.get("/").await.1.contains("The configuration could not be loaded");
        let loaded = std::fs::read(&server.file).unwrap();
        assert!(!is_told().await);
        std::fs::write(&server.file, "instances: [").unwrap();
        server.reloader.reload().await.unwrap_err();
        assert!(is_told().await);
        std::fs::write(&server.file, loaded).unwrap();
        server.reloader.reload().await.unwrap();
        assert!(!is_told().await);
    });
}

#[test]
fn a_runbook_opens_where_the_page_opens() {
    on_a_server(async |server| {
        let (status, headers, body) = server.ask(Method::GET, "/runbooks/backup_stale", &[]).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(body.contains("<h1>Backup stale</h1>") && !body.contains("http-equiv"));
        assert!(body.contains("> / <a href=\"/runbooks/\">Runbooks</a>"));
        let (status, index) = server.get("/runbooks/").await;
        assert!(status == StatusCode::OK && index.contains("href=\"/runbooks/backup_stale\""));
        let (status, headers, _) = server.ask(Method::GET, "/runbooks", &[]).await;
        assert_eq!((status, headers["location"].to_str().unwrap()), (StatusCode::PERMANENT_REDIRECT, "/runbooks/"));
        let (status, text) = server.get("/runbooks/%3Cb%3E").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::NOT_FOUND, "there is no runbook called \"<b>\"; /runbooks/ lists them\n")
        );
    });
}

#[test]
fn a_reload_swaps_whole_or_not_at_all() {
    on_a_server(async |server| {
        let reload = async || server.ask(Method::POST, "/-/reload", &[]).await;
        let (status, _, _) = server.ask(Method::POST, "/-/reload", &[("origin", "https://example.org")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let loaded_at = server.reloader.facts().config_loaded_at;
        let former = server.reloader.crew();

        std::fs::write(&server.file, "instances:\n  - {name: vijay, hom: /x}\n").unwrap();
        let (status, _, body) = reload().await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(String::from_utf8(body).unwrap().contains(":2:19: unknown key `hom`; did you mean `home`?"));
        let (_, text) = server.get("/metrics").await;
        assert!(text.contains("hermes_exporter_config_last_reload_successful 0\n"));
        assert!(text.contains("hermes_gateway_up{instance=\"vijay\"}"), "the former one stays in force");
        assert!(Arc::ptr_eq(&former, &server.reloader.crew()));
        assert_eq!(server.reloader.facts().config_loaded_at, loaded_at);

        let only = format!("instances:\n  - {{name: bheem, home: {}}}\n", server.homes.bheem().display());
        std::fs::write(&server.file, only).unwrap();
        assert_eq!(reload().await.0, StatusCode::OK);
        let (_, text) = server.get("/metrics").await;
        assert!(text.contains("hermes_exporter_config_last_reload_successful 1\n"));
        assert!(!text.contains("vijay"), "an instance that has gone leaves nothing behind");
    });
}

#[test]
fn an_unchanged_instance_keeps_its_counters_over_a_reload() {
    on_a_server(async |server| {
        let starts = server.homes.vijay().join("gateway-starts.log");
        std::fs::write(&starts, "100\n200\n300\n").unwrap();
        let counted = async || server.get("/metrics?collect[]=gateway&instance=vijay").await.1;
        assert!(counted().await.contains("hermes_gateway_starts_total{instance=\"vijay\"} 3\n"));
        std::fs::write(&starts, "300\n400\n").unwrap();
        server.reloader.reload().await.unwrap();
        assert!(counted().await.contains("hermes_gateway_starts_total{instance=\"vijay\"} 4\n"));
    });
}

#[test]
fn scrapes_at_the_same_time_all_get_the_same() {
    on_a_server(async |server| {
        let scrapes: Vec<_> = (0..40)
            .map(|_| {
                let server = Arc::clone(&server);
                tokio::spawn(async move { server.get("/metrics").await })
            })
            .collect();
        for scrape in scrapes {
            let (status, text) = scrape.await.unwrap();
            assert_eq!(status, StatusCode::OK);
            assert!(text.contains("hermes_stored_messages{instance=\"vijay\"} 5225\n"));
            assert!(!text.contains("hermes_collector_success{instance=\"vijay\",collector=\"sessions\"} 0"));
        }
    });
}
