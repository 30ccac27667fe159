//! Running it: ways to Telegram, secrets, reload, the console, and the commands.

use rustix::process::Signal;

use crate::bot_api::{ChatFacts, Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::program::{Bridge, program, run};
use crate::proxies::Proxy;
use crate::scene::{Configuration, OPS, ROOT, SECRET, Scene, UMA, has_secret, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn telegram_is_reached_through_a_proxy() {
    let with_password = Proxy::socks(Some("proxy-secret")).await;
    let (http, socks) = (Proxy::http().await, Proxy::socks(None).await);
    for (scheme, proxy, file) in [
        ("http", &http, false),
        ("socks5", &socks, false),
        ("socks5h", &socks, false),
        ("socks5", &with_password, true),
    ] {
        let scene = Scene::new();
        let setting = if file {
            let path = scene.write("proxy.url", &format!("{scheme}://user:proxy-secret@{}", proxy.address));
            format!("proxy_file: {},", path.display())
        } else {
            format!("proxy: '{scheme}://{}',", proxy.address)
        };
        let before = proxy.connections();
        let bridge = scene.start(&Configuration { telegram: setting, ..Configuration::default() });
        scene.accept(&notification(&[Alert::firing("Proxied")])).await;
        assert!(scene.messages(ROOT, 1).await[0].text.contains("Proxied"));
        scene.settled().await;
        assert!(proxy.connections() > before, "{scheme}");
        assert!(!bridge.log().contains("proxy-secret"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_loaded_while_serving_or_the_former_one_stays() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::default());
    let to_uma = || Configuration {
        routes: "[{match: 'instance = \"vijay\"', chat: uma}]".to_owned(),
        ..Configuration::default()
    };
    scene.write("bridge.yml", "nonsense");
    bridge.signal(Signal::HUP);
    bridge.wait_for_log("former");
    let (status, text) = scene.post_to("/-/reload", String::new()).await.unwrap();
    assert!(status >= 400, "{status} {text}");
    scene.accept(&notification(&[Alert::firing("Former")])).await;
    assert!(scene.messages(ROOT, 1).await[0].text.contains("Former"));
    scene.configure(&to_uma());
    let (status, text) = scene.post_to("/-/reload", String::new()).await.unwrap();
    assert_eq!(status, 200, "{text}");
    scene.accept(&notification(&[Alert::firing("Loaded")])).await;
    assert!(scene.messages(UMA, 1).await[0].text.contains("Loaded"));
    // What waits for a chat is not lost by a reload.
    scene.configure(&Configuration::default());
    bridge.signal(Signal::HUP);
    wait_for("the routes of before", async || {
        scene.accept(&notification(&[Alert::firing("Back").label("try", &scene.texts(ROOT).len().to_string())])).await;
        scene.settled().await;
        scene.everything_in(ROOT).contains("Back").then_some(())
    })
    .await;
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_console_messages_are_printed() {
    let scene = Scene::new();
    let folder = scene.folder.path().display().to_string();
    scene.write(
        "bridge.yml",
        &format!("store: {folder}/bridge.db\ndelivery: console\nchats: {{root: {{}}}}\ndefault_chat: root\n"),
    );
    let bridge = scene.start_again();
    let alert = Alert::firing("Printed");
    scene.accept(&notification(std::slice::from_ref(&alert))).await;
    bridge.wait_for_output("Printed");
    scene.settled().await;
    scene.accept(&notification(&[alert.resolved()])).await;
    scene.settled().await;
    assert!(bridge.output().matches("Printed").count() >= 2, "{}", bridge.output());
    assert!(scene.api.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_listed_tried_again_and_dropped() {
    let scene = Scene::new();
    let folder = scene.folder.path();
    let bridge = scene.start(&Configuration::default());
    // What Telegram itself has asked for is kept by a retry; that it was in trouble is not.
    let kind = Kind::Internal;
    let fault = Fault { chat_id: None, method: None, thread: None, times: None, seconds: None, kind };
    scene.api.fault(fault);
    scene.accept(&notification(&[Alert::firing("Waiting")])).await;
    scene.accept(&notification(&[Alert::firing("Unwanted").of("bheem")])).await;
    wait_for("both to be refused", async || (scene.api.calls().len() >= 2).then_some(())).await;
    let queue = |arguments: &[&str]| {
        let mut all = vec!["queue"];
        all.extend(arguments);
        all.extend(["--config.file", "bridge.yml"]);
        run(folder, &all)
    };
    let (code, listed, error) = queue(&["list"]);
    assert_eq!(code, 0, "{error}");
    for (chat, name) in [("root", "Waiting"), ("uma", "Unwanted")] {
        assert!(listed.lines().any(|line| line.contains(chat) && line.contains(name)), "{listed}");
    }
    scene.api.clear_faults();
    let unwanted = listed.lines().find(|line| line.contains("Unwanted")).unwrap();
    let number = unwanted.split_whitespace().next().unwrap();
    let (code, _, error) = queue(&["drop", number, "--yes"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = queue(&["retry"]);
    assert_eq!(code, 0, "{error}");
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    assert!(scene.api.messages(UMA).is_empty());
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_say_what_is_wrong() {
    let scene = Scene::new();
    let folder = scene.folder.path();
    scene.configure(&Configuration::default());
    let (code, out, error) = run(folder, &["check-config", "bridge.yml"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let (code, out, error) = run(folder, &["check-config", "--online", "bridge.yml"]);
    assert_eq!(code, 0, "{out}{error}");
    scene.api.chat(ChatFacts { id: UMA, membership: Some("left".to_owned()), ..ChatFacts::default() });
    let (code, out, error) = run(folder, &["check-config", "--online", "bridge.yml"]);
    assert!(code != 0 && (out.clone() + &error).contains("uma"), "{out}{error}");
    scene.write("bad.yml", "chats: {root: {chat_idd: 1}}\n");
    let (code, _, error) = run(folder, &["check-config", "bad.yml"]);
    assert!(code == 64 && error.contains("bad.yml:1:"), "{code} {error}");
    assert_eq!(run(folder, &["--nonsense"]).0, 64);
    assert_eq!(run(folder, &["--version"]).1, format!("hermes-alert-bridge {}\n", env!("CARGO_PKG_VERSION")));

    let (code, out, error) = run(folder, &["send-test", "--chat", "ops", "--config.file", "bridge.yml"]);
    assert_eq!(code, 0, "{out}{error}");
    assert_eq!(scene.api.messages(OPS).len(), 1);
    let payload = notification(&[Alert::firing("Rendered")]).to_string();
    scene.write("payload.json", &payload);
    let (code, out, error) = run(folder, &["render", "--payload", "payload.json", "--config.file", "bridge.yml"]);
    assert!(code == 0 && out.contains("Rendered"), "{out}{error}");
    let (code, out, error) = run(folder, &["chats", "--config.file", "bridge.yml"]);
    assert!(code == 0 && out.contains("root") && out.contains("1001"), "{out}{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_nowhere_but_in_its_file() {
    let scene = Scene::new();
    let folder = scene.folder.path();
    let (chat_id, times) = (Some(ROOT), Some(1));
    // The last one ends it: with a token that is refused nothing is sent any more.
    for kind in [Kind::Drop, Kind::Internal, Kind::BadGateway, Kind::Hang, Kind::Unauthorized] {
        scene.api.fault(Fault { chat_id, method: None, thread: None, times, seconds: None, kind });
    }
    let configuration = Configuration { telegram: "timeout: 1s,".to_owned(), ..Configuration::default() };
    scene.configure(&configuration);
    let bridge = Bridge::spawn(program(folder), scene.port, &["--log.level", "debug"]);
    bridge.wait_for_log("address=");
    scene.accept(&notification(&[Alert::firing("Secret")])).await;
    let is_refused = async || {
        let calls = scene.api.calls();
        calls.iter().any(|call| call.outcome == "unauthorized").then_some(())
    };
    wait_for("the faults to be over", is_refused).await;
    for path in ["/metrics", "/-/ready", "/-/healthy", "/"] {
        assert!(!scene.get(path).await.1.contains(SECRET), "{path}");
    }
    // An address at which nobody listens, for the errors of connecting.
    let api = scene.api.url();
    let text = configuration.text(&scene).replace(&api, "http://127.0.0.1:9");
    scene.write("bridge.yml", &text);
    bridge.signal(Signal::HUP);
    for arguments in [
        &["check-config", "--online", "bridge.yml"][..],
        &["send-test", "--chat", "root", "--config.file", "bridge.yml"],
        &["queue", "list", "--config.file", "bridge.yml"],
    ] {
        run(folder, arguments);
    }
    assert!(bridge.end().success());
    assert_eq!(has_secret(folder), Vec::<std::path::PathBuf>::new());
}
