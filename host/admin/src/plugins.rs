use wharf_plugins::{Answer, Origin, PluginInfo, PluginState, Plugins};

use crate::proto::{Call, Plugin, PluginsReply};

pub(crate) fn reply(plugins: &Plugins) -> PluginsReply {
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let calls = plugins.call_stats().into_iter().map(|call| Call {
        plugin: call.plugin,
        function: call.function.to_owned(),
        calls: call.calls,
        errors: call.errors,
        total_nanos: nanos(call.total),
        max_nanos: nanos(call.max),
        last_nanos: nanos(call.last),
    });
    PluginsReply { plugins: plugins.list().into_iter().map(plugin).collect(), calls: calls.collect() }
}

fn plugin(info: PluginInfo) -> Plugin {
    let powers = info.asks.into_iter().map(|ask| match ask.answer {
        Answer::Granted => ask.name,
        Answer::Refused => format!("{} (refused)", ask.name),
        Answer::Unmentioned => format!("{} (not granted)", ask.name),
    });
    Plugin {
        name: info.name,
        kind: info.kind.to_string(),
        digest: info.digest,
        source: match info.origin {
            Origin::Bundled => "bundled".to_owned(),
            Origin::File(path) => path.display().to_string(),
        },
        state: match info.state {
            PluginState::Ready(_) => "ready".to_owned(),
            PluginState::Unsupported(why) => format!("unsupported: {why}"),
            PluginState::Failed(why) => format!("failed: {why}"),
        },
        contract: info.version,
        powers: powers.collect(),
    }
}
