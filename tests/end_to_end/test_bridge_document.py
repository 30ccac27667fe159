"""What docs/alert-bridge.md tells people to write works as it stands there, with other paths and addresses alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from alert_bridge import TOKEN, Bridge, alert, alertmanagers, ask, bot_api, serving_bridge
from processes import free_port, run, wait_for

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "alert-bridge.md"
GROUP, PERSON = -1001234567890, 987654321


def written(kind: str, contains: str) -> str:
    """The one block of this kind in the document that has this in it, as it stands there but for its indentation."""
    blocks = re.findall(rf"^( *)```{kind}\n(.*?)^ *```", DOCUMENT.read_text(encoding="utf-8"), re.M | re.S)
    [(indentation, text)] = [block for block in blocks if contains in block[1]]
    return re.sub(rf"^{indentation}", "", text, flags=re.M)


def replaced(text: str, *pairs: tuple[str, object]) -> str:
    for old, new in pairs:
        assert old in text, f"{old} is not there any more"
        text = text.replace(old, str(new))
    return text


def printed_with(bridge: Bridge, text: str) -> str:
    """What a bridge has printed, as soon as this is in it."""
    return wait_for(text, lambda: bridge.program.output() if text in bridge.program.output() else "")


def test_bridge_and_alertmanager_are_set_up_as_it_is_written(
    alertmanager: Path, amtool: Path, bridge_binary: Path, bot_api_server: Path, folder: Path
) -> None:
    webhook, bot, file = folder / "webhook.token", folder / "bot.token", folder / "bridge.yml"
    for path, secret in ((webhook, "correct horse"), (bot, TOKEN)):
        path.write_text(secret)
        path.chmod(0o600)
    with bot_api(bot_api_server) as api:
        chats = [{"id": GROUP, "kind": "forum", "title": "Alerts", "topics": [7]}, {"id": PERSON, "title": "Uma"}]
        api.control("POST", "chats", chats)
        port = free_port()
        configuration = replaced(
            written("yaml", "# alertmanager.yml"),
            ("http://127.0.0.1:10120/", f"http://127.0.0.1:{port}/"),
            ("/etc/prometheus/hermes-alert-bridge.token", webhook),
            ("group_wait: 10s", "group_wait: 500ms"),
        )
        with alertmanagers(alertmanager, folder, port, configuration=configuration) as (one,):
            run(amtool, "check-config", folder / "alertmanager.yml").succeeded()
            file.write_text(
                replaced(
                    written("yaml", "# /etc/hermes-alert-bridge/bridge.yml"),
                    ("/var/lib/hermes-alert-bridge/bridge.db", folder / "bridge.db"),
                    ("/etc/hermes-alert-bridge/webhook.token", webhook),
                    ("/etc/hermes-alert-bridge/bot.token}", f"{bot}, api_url: '{api.url}'}}"),
                    ("http://127.0.0.1:9093", f"http://127.0.0.1:{one.port}"),
                )
            )
            checked = run(bridge_binary, "check-config", file, "--online").succeeded().output
            assert "warning" not in checked and "may write" in checked
            run(bridge_binary, "send-test", "--config.file", file, "--chat", "root").succeeded()
            with serving_bridge(bridge_binary, file, port=port) as bridge:
                machine = alert("HermesTailscaleDown", "127.0.0.1:10119")
                machine["labels"]["finding"] = "tailscale_down"
                watching = alert("HermesExporterDown", "hermes-exporter:10119")
                one.tell(alert("DiskFull"), alert("MemoryLow", "bheem"), alert("Watchdog", ""), watching, machine)
                wait_for("the group's alerts", lambda: len(api.messages(GROUP)) == 4)
                told = "".join(message["text"] for message in api.messages(GROUP) if message["thread"] == 7)
                assert all(name in told for name in ("DiskFull", "HermesExporterDown", "HermesTailscaleDown")), told
                assert "\nhermes_alert_bridge_unrouted_total 0\n" in bridge.get("/metrics")[1]
                wait_for("the person's alert", lambda: len(api.messages(PERSON)) == 1)
                heartbeat = "hermes_alert_bridge_heartbeat_last_timestamp_seconds{"
                wait_for("the heartbeat", lambda: heartbeat in bridge.get("/metrics")[1])
                assert not any("Watchdog" in message["text"] for message in api.messages(GROUP))


def test_it_can_be_tried_without_telegram(bridge_binary: Path, folder: Path) -> None:
    text = written("sh", "cat > /tmp/bridge.yml")
    file = folder / "bridge.yml"
    [configuration] = re.findall(r"<<'END'\n(.*?)END\n", text, re.S)
    file.write_text(replaced(configuration, ("/tmp/bridge.db", folder / "bridge.db")))
    with serving_bridge(bridge_binary, file) as bridge:
        command = replaced(written("sh", "curl http://127.0.0.1:10120/alertmanager"), (":10120", f":{bridge.port}"))
        end = ('"startsAt"', '"endsAt": "2026-11-20T12:05:00Z", "startsAt"')
        for said, told in ((command, "Critical"), (replaced(command, ("firing", "resolved"), end), "Resolved")):
            subprocess.run(["bash", "-ec", replaced(said, ("curl ", "curl -sS --fail-with-body "))], check=True)
            # What is over before it was told is told as over.
            printed = printed_with(bridge, told)
        assert printed.startswith("→ root: #1\n  🔴 Critical · vijay · HermesGatewayDown\n"), printed


def test_scripts_tell_as_it_is_written(bridge_binary: Path, folder: Path) -> None:
    file, webhook = folder / "bridge.yml", folder / "webhook.token"
    webhook.write_text("correct horse")
    file.write_text(
        f"store: {folder}/bridge.db\nauth: {{bearer_token_file: {webhook}}}\ndelivery: console\n"
        "chats: {root: {}, uma: {}}\nroutes: [{match: 'instance = \"bheem\"', chat: uma}]\ndefault_chat: root\n"
    )
    with serving_bridge(bridge_binary, file) as bridge:
        here = (":10120", f":{bridge.port}")
        header = ("/etc/hermes-alert-bridge/notify.header", folder / "notify.header")
        secret_and_text = replaced(written("sh", "umask 077\nprintf 'Authorization"), here, header)
        json = replaced(written("sh", '"title": "Upgrade"'), here, header)
        # What a backup does between its steps is left out in the document.
        backup = replaced(written("bash", "progress()"), here, header, ("\n...\n", "\n"))
        for lines in (secret_and_text, json, backup):
            subprocess.run(["bash", "-ec", lines], check=True, cwd=folder)
        printed = printed_with(bridge, "✅ vijay · Nightly backup")
        for told in ("Disk replaced on vijay.", "🟡 Upgrade", "Hermes goes to 0.20", "12 GB"):
            assert told in printed, printed
        assert ask(bridge.port, "POST", "/notify?chat=root")[0] == 401
