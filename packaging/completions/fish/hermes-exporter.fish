# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_hermes_exporter_global_optspecs
    string join \n config.file= web.listen-address= web.config.file= web.systemd-socket web.allow-public-without-auth web.telemetry-path= collector.gateway no-collector.gateway collector.units no-collector.units collector.cron no-collector.cron collector.credentials no-collector.credentials collector.backup no-collector.backup collector.inventory no-collector.inventory collector.sessions no-collector.sessions collector.activity no-collector.activity collector.home no-collector.home collector.endpoints no-collector.endpoints collector.exposure no-collector.exposure collector.guardrails no-collector.guardrails collector.logs no-collector.logs collector.report no-collector.report collector.host no-collector.host collector.tailscale no-collector.tailscale log.level= log.format= h/help V/version
end

function __fish_hermes_exporter_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    set -l before
    for word in $cmd
        # Neither an option nor the value of one.
        if not string match -q -- '-*' $word; and not contains -- (string sub -s 3 -- "$before")= (__fish_hermes_exporter_global_optspecs)
            echo $word
            return 1
        end
        set before $word
    end
    return 0
end

function __fish_hermes_exporter_using_subcommand
    set -l cmd (__fish_hermes_exporter_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l config.file -d 'Look at what this file names, instead of at the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l web.listen-address -d 'Listen on this address: host:port, :port for all addresses, or unix:/path/of/a/socket; may be given several times' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l web.config.file -d 'Take TLS, passwords and client certificates from this file, in the format of Prometheus\' exporters' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l web.telemetry-path -d 'Serve the metrics under this path' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l web.systemd-socket -d 'Listen on the sockets that systemd has opened, instead of on addresses'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l web.allow-public-without-auth -d 'Listen on a public address even where nobody is asked who they are'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.gateway -d 'Read the gateway process, its heartbeat and its platforms (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.gateway -d 'Do not run the gateway collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.units -d 'Read services and timers, from systemd or s6 (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.units -d 'Do not run the units collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.cron -d 'Read cron jobs, their runs, and the ticker (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.cron -d 'Do not run the cron collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.credentials -d 'Read whether tokens and keys are there and would work (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.credentials -d 'Do not run the credentials collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.backup -d 'Read the repositories it is backed up to, restore drills and emergency bundles (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.backup -d 'Do not run the backup collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.inventory -d 'Read memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.inventory -d 'Do not run the inventory collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.sessions -d 'Read sessions, messages and model usage in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.sessions -d 'Do not run the sessions collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.activity -d 'Read turns and tool calls, from new messages in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.activity -d 'Do not run the activity collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.home -d 'Read the size of the home and the space on its filesystem (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.home -d 'Do not run the home collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.endpoints -d 'Read whether the configured endpoints answer, and are what they should be (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.endpoints -d 'Do not run the endpoints collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.exposure -d 'Read the ports that the instance\'s processes listen on (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.exposure -d 'Do not run the exposure collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.guardrails -d 'Read safety settings and the modes of files (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.guardrails -d 'Do not run the guardrails collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.logs -d 'Read records of agent.log, errors.log and gateway.log, by level (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.logs -d 'Do not run the logs collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.report -d 'Read the report of an instance that is told of by one, in place of all the collectors above (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.report -d 'Do not run the report collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.host -d 'Read processors, memory, load and uptime of this machine (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.host -d 'Do not run the host collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l collector.tailscale -d 'Read whether this machine is in its tailnet, and until when (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -l no-collector.tailscale -d 'Do not run the tailscale collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -s V -l version -d 'Print version'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "serve" -d 'Serve metrics, JSON and a page over HTTP; what is done without a command'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "check" -d 'Look once and say what is wrong: exit code 0 healthy, 1 warning, 2 critical, 3 unknown, 64 bad usage or configuration'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "runbook" -d 'Print what to do about a finding or an alert, or without a name the list of all'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "scrape" -d 'Print the metrics once, or write them to a file for node_exporter\'s textfile collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "report" -d 'Look once at one instance, and write down what is seen for another exporter to read'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "discover" -d 'Print the Hermes homes that are found, as a configuration file to start from'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "check-config" -d 'Say whether a configuration file is valid, and what is wrong where it is not; also of how Prometheus scrapes'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "targets" -d 'Print what Prometheus is to scrape, one target per instance, or write it to a file for its file_sd_configs'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "healthcheck" -d 'Ask the exporter that runs here whether it is healthy: exit code 0, or 1 with what is wrong; for a container\'s HEALTHCHECK'
complete -c hermes-exporter -n "__fish_hermes_exporter_needs_command" -f -a "demo" -d 'Play an incident in sample homes, through Prometheus and the bridge to a chat, to try everything without Hermes'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l config.file -d 'Look at what this file names, instead of at the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l web.listen-address -d 'Listen on this address: host:port, :port for all addresses, or unix:/path/of/a/socket; may be given several times' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l web.config.file -d 'Take TLS, passwords and client certificates from this file, in the format of Prometheus\' exporters' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l web.telemetry-path -d 'Serve the metrics under this path' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l web.systemd-socket -d 'Listen on the sockets that systemd has opened, instead of on addresses'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l web.allow-public-without-auth -d 'Listen on a public address even where nobody is asked who they are'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.gateway -d 'Read the gateway process, its heartbeat and its platforms (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.gateway -d 'Do not run the gateway collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.units -d 'Read services and timers, from systemd or s6 (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.units -d 'Do not run the units collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.cron -d 'Read cron jobs, their runs, and the ticker (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.cron -d 'Do not run the cron collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.credentials -d 'Read whether tokens and keys are there and would work (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.credentials -d 'Do not run the credentials collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.backup -d 'Read the repositories it is backed up to, restore drills and emergency bundles (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.backup -d 'Do not run the backup collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.inventory -d 'Read memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.inventory -d 'Do not run the inventory collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.sessions -d 'Read sessions, messages and model usage in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.sessions -d 'Do not run the sessions collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.activity -d 'Read turns and tool calls, from new messages in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.activity -d 'Do not run the activity collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.home -d 'Read the size of the home and the space on its filesystem (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.home -d 'Do not run the home collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.endpoints -d 'Read whether the configured endpoints answer, and are what they should be (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.endpoints -d 'Do not run the endpoints collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.exposure -d 'Read the ports that the instance\'s processes listen on (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.exposure -d 'Do not run the exposure collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.guardrails -d 'Read safety settings and the modes of files (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.guardrails -d 'Do not run the guardrails collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.logs -d 'Read records of agent.log, errors.log and gateway.log, by level (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.logs -d 'Do not run the logs collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.report -d 'Read the report of an instance that is told of by one, in place of all the collectors above (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.report -d 'Do not run the report collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.host -d 'Read processors, memory, load and uptime of this machine (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.host -d 'Do not run the host collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l collector.tailscale -d 'Read whether this machine is in its tailnet, and until when (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -l no-collector.tailscale -d 'Do not run the tailscale collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand serve" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l config.file -d 'Look at what this file names, instead of at the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l output -d 'For people, or for programs' -r -f -a "text\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l color -d 'Whether there are colours; `auto`: on a terminal, unless NO_COLOR is set' -r -f -a "auto\t''
always\t''
never\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l timeout -d 'Give up on what takes longer' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.gateway -d 'Read the gateway process, its heartbeat and its platforms (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.gateway -d 'Do not run the gateway collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.units -d 'Read services and timers, from systemd or s6 (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.units -d 'Do not run the units collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.cron -d 'Read cron jobs, their runs, and the ticker (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.cron -d 'Do not run the cron collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.credentials -d 'Read whether tokens and keys are there and would work (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.credentials -d 'Do not run the credentials collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.backup -d 'Read the repositories it is backed up to, restore drills and emergency bundles (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.backup -d 'Do not run the backup collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.inventory -d 'Read memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.inventory -d 'Do not run the inventory collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.sessions -d 'Read sessions, messages and model usage in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.sessions -d 'Do not run the sessions collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.activity -d 'Read turns and tool calls, from new messages in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.activity -d 'Do not run the activity collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.home -d 'Read the size of the home and the space on its filesystem (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.home -d 'Do not run the home collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.endpoints -d 'Read whether the configured endpoints answer, and are what they should be (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.endpoints -d 'Do not run the endpoints collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.exposure -d 'Read the ports that the instance\'s processes listen on (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.exposure -d 'Do not run the exposure collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.guardrails -d 'Read safety settings and the modes of files (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.guardrails -d 'Do not run the guardrails collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.logs -d 'Read records of agent.log, errors.log and gateway.log, by level (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.logs -d 'Do not run the logs collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.report -d 'Read the report of an instance that is told of by one, in place of all the collectors above (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.report -d 'Do not run the report collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.host -d 'Read processors, memory, load and uptime of this machine (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.host -d 'Do not run the host collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l collector.tailscale -d 'Read whether this machine is in its tailnet, and until when (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -l no-collector.tailscale -d 'Do not run the tailscale collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand runbook" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand runbook" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand runbook" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l config.file -d 'Look at what this file names, instead of at the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l format -d 'The format; a textfile collector reads `text`' -r -f -a "text\t''
openmetrics\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l output -d 'Write to this file, atomically, instead of to standard output' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l timeout -d 'Give up on what takes longer' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.gateway -d 'Read the gateway process, its heartbeat and its platforms (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.gateway -d 'Do not run the gateway collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.units -d 'Read services and timers, from systemd or s6 (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.units -d 'Do not run the units collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.cron -d 'Read cron jobs, their runs, and the ticker (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.cron -d 'Do not run the cron collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.credentials -d 'Read whether tokens and keys are there and would work (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.credentials -d 'Do not run the credentials collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.backup -d 'Read the repositories it is backed up to, restore drills and emergency bundles (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.backup -d 'Do not run the backup collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.inventory -d 'Read memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.inventory -d 'Do not run the inventory collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.sessions -d 'Read sessions, messages and model usage in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.sessions -d 'Do not run the sessions collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.activity -d 'Read turns and tool calls, from new messages in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.activity -d 'Do not run the activity collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.home -d 'Read the size of the home and the space on its filesystem (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.home -d 'Do not run the home collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.endpoints -d 'Read whether the configured endpoints answer, and are what they should be (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.endpoints -d 'Do not run the endpoints collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.exposure -d 'Read the ports that the instance\'s processes listen on (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.exposure -d 'Do not run the exposure collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.guardrails -d 'Read safety settings and the modes of files (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.guardrails -d 'Do not run the guardrails collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.logs -d 'Read records of agent.log, errors.log and gateway.log, by level (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.logs -d 'Do not run the logs collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.report -d 'Read the report of an instance that is told of by one, in place of all the collectors above (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.report -d 'Do not run the report collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.host -d 'Read processors, memory, load and uptime of this machine (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.host -d 'Do not run the host collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l collector.tailscale -d 'Read whether this machine is in its tailnet, and until when (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -l no-collector.tailscale -d 'Do not run the tailscale collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand scrape" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l instance -d 'The instance; where no file names any and one home is found, it is called so. Not needed where there is but one' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l output -d 'Write to this file, atomically and readable by all, instead of to standard output' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l state -d 'Keep in this file, readable by nobody else, what has to be known in the next run so that counters go on: turns, tool calls, records of logs and failures of units. Without it these are left out, because a counter that is new each time never moves. Not in the Hermes home' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l config.file -d 'Look at what this file names, instead of at the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l timeout -d 'Give up on what takes longer' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.gateway -d 'Read the gateway process, its heartbeat and its platforms (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.gateway -d 'Do not run the gateway collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.units -d 'Read services and timers, from systemd or s6 (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.units -d 'Do not run the units collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.cron -d 'Read cron jobs, their runs, and the ticker (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.cron -d 'Do not run the cron collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.credentials -d 'Read whether tokens and keys are there and would work (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.credentials -d 'Do not run the credentials collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.backup -d 'Read the repositories it is backed up to, restore drills and emergency bundles (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.backup -d 'Do not run the backup collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.inventory -d 'Read memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.inventory -d 'Do not run the inventory collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.sessions -d 'Read sessions, messages and model usage in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.sessions -d 'Do not run the sessions collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.activity -d 'Read turns and tool calls, from new messages in state.db (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.activity -d 'Do not run the activity collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.home -d 'Read the size of the home and the space on its filesystem (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.home -d 'Do not run the home collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.endpoints -d 'Read whether the configured endpoints answer, and are what they should be (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.endpoints -d 'Do not run the endpoints collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.exposure -d 'Read the ports that the instance\'s processes listen on (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.exposure -d 'Do not run the exposure collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.guardrails -d 'Read safety settings and the modes of files (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.guardrails -d 'Do not run the guardrails collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.logs -d 'Read records of agent.log, errors.log and gateway.log, by level (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.logs -d 'Do not run the logs collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.report -d 'Read the report of an instance that is told of by one, in place of all the collectors above (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.report -d 'Do not run the report collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.host -d 'Read processors, memory, load and uptime of this machine (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.host -d 'Do not run the host collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l collector.tailscale -d 'Read whether this machine is in its tailnet, and until when (default)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -l no-collector.tailscale -d 'Do not run the tailscale collector'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand report" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand discover" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand discover" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand discover" -l all-users -d 'Also propose the homes of other users, as far as they can be seen; they are not looked into'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand discover" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check-config" -l prometheus -d 'Say also whether this configuration of Prometheus scrapes the exporter rightly' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check-config" -l job -d 'The scrape job of the exporter, where neither its name nor its targets tell; may be given several times' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check-config" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check-config" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand check-config" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l address -d 'Where Prometheus reaches the exporter' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l config.file -d 'The instances of this file, instead of the homes that are found' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l output -d 'Write to this file, atomically, instead of to standard output; Prometheus takes .json, .yml and .yaml' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l label -d 'Put this label to every target, as in box=one; may be given several times' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l web.telemetry-path -d 'The path under which the exporter serves its metrics' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand targets" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l web.listen-address -d 'Ask at the address that the program listens on, host:port or unix:/path/of/a/socket; 0.0.0.0 and :: are asked on this machine' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l web.config.file -d 'Ask over TLS, where the program has this file and it says so' -r -F
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l timeout -d 'Give up when it takes longer' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -l ready -d 'Ask whether it does what it is for (`/-/ready`), not only whether it serves (`/-/healthy`)'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand healthcheck" -s h -l help -d 'Print help'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand demo" -l web.listen-address -d 'Listen on this address; everything else chooses free ones' -r
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand demo" -l log.level -d 'Log nothing less important than this [default: info; for commands that say it themselves: error]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand demo" -l log.format -d 'The form of the log lines on standard error' -r -f -a "logfmt\t''
json\t''"
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand demo" -l no-incident -d 'Start everything, and let nothing happen'
complete -c hermes-exporter -n "__fish_hermes_exporter_using_subcommand demo" -s h -l help -d 'Print help'
