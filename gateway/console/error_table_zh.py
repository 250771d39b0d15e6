"""Causes and remedies of the table of errors in Chinese, by the English text."""

import re
from typing import Any

from gateway.console.needs_zh import is_chinese

TEXTS = {
    "a file of `/v1/images` that is no picture, has too many bytes or pixels, or needs the extra `images`":
        "`/v1/images` 的文件不是图片、字节或像素过多，或需要附加组件 `images`",
    "send png, jpeg or webp; `gateway plugin install --extra images`":
        "改用 png、jpeg 或 webp；`gateway plugin install --extra images`",
    "Google's filters refuse the prompt or the picture; the message has its reason":
        "Google 的过滤器拒绝了提示词或图片；消息中有原因",
    "another prompt; `safety` of the configuration, or the client's own thresholds":
        "换一个提示词；或调整配置中的 `safety`、客户端自己的阈值",
    "the model answered without a picture; the message has its words": "模型的回答中没有图片；消息中有它的原话",
    "a prompt that asks for a picture": "使用要求生成图片的提示词",
    "the request; `param` names the field": "请求有误；`param` 指出字段",
    "correct the client": "修正客户端",
    "a field that cannot be honoured, with `compat: strict`": "无法支持的字段（`compat: strict` 时）",
    "leave it out, or `compat: lenient`": "去掉该字段，或设 `compat: lenient`",
    "more tokens than the model reads": "Token 数超过模型的上下文",
    "shorten the conversation": "缩短对话",
    "a remote file cannot be fetched or is not allowed (`media`)": "远程文件无法获取或不被允许（`media`）",
    "send it as a `data:` URL": "改用 `data:` URL 发送",
    "the header `Host` is missing or no host; from nginx: a host that it does not serve":
        "缺少 `Host` 头或其值不是主机名；来自 nginx：它不服务该主机",
    "correct the client or the proxy": "修正客户端或代理",
    "two different keys in one request": "一个请求中有两个不同的密钥",
    "send one": "只发送一个",
    "Google does not serve the place that the gateway is in": "Google 不向网关所在地区提供服务",
    "another place, or a paid project": "换一个地区，或使用付费项目",
    "no key, or one that the gateway does not know, or that Google refuses":
        "没有密钥，或网关不认识它，或 Google 拒绝它",
    "the client sends a key that Keys (`gateway keys list`) shows; with a Gemini key, ask Google":
        "客户端应发送「密钥」页（`gateway keys list`）中的密钥；若是 Gemini 密钥，请询问 Google",
    "an issued key that is suspended": "签发的密钥已停用",
    "Keys: open it and resume it": "「密钥」页：打开它并恢复",
    "an issued key that has expired": "签发的密钥已过期",
    "Keys: open it and set a later day, or issue another (`gateway keys add`)":
        "「密钥」页：打开它并设置更晚的到期日，或另行签发（`gateway keys add`）",
    "an issued key that was revoked, which cannot be undone": "签发的密钥已被吊销，无法撤销",
    "Keys: issue another for its holder (`gateway keys add`)": "「密钥」页：为持有者另行签发（`gateway keys add`）",
    "a key that this gateway has not issued; with `auth: {passthrough: false}` also a Gemini key of the client's "
    "own. The client sees `Incorrect API key provided.`, and Google is not asked":
        "不是本网关签发的密钥；`auth: {passthrough: false}` 时也包括客户端自带的 Gemini 密钥；客户端只看到 "
        "`Incorrect API key provided.`，不会询问 Google",
    "Keys: issue one for this client (`gateway keys add`); with `passthrough: true` such keys are passed through":
        "「密钥」页：为该客户端签发密钥（`gateway keys add`）；设 `passthrough: true` 则会转发自带密钥",
    "the admin listener: nobody is signed in, no token is configured, or it is another one":
        "管理端口：未登录、未配置令牌，或令牌不符",
    "`admin.token` or `admin.tokens`; `gateway console`": "`admin.token` 或 `admin.tokens`；`gateway console`",
    "five wrong admin tokens from one address within a minute": "同一地址一分钟内五次错误的管理令牌",
    "wait a minute": "等待一分钟",
    "an operator with `may: read` tried to change something": "`may: read` 的操作员试图更改",
    "another token of `admin.tokens`": "使用 `admin.tokens` 的其他令牌",
    "a change in the console that does not come from its own pages": "更改请求不是来自控制台自己的页面",
    "programs send `Authorization: Bearer`; a proxy must not change `Host`":
        "程序请发送 `Authorization: Bearer`；代理不得更改 `Host`",
    "a browser opened the console under a name that is not its own": "浏览器以不属于控制台的主机名打开了它",
    "127.0.0.1, localhost, or a name of `admin.hosts`": "使用 127.0.0.1、localhost 或 `admin.hosts` 中的名称",
    "Google refuses the key for this model or file": "Google 拒绝该密钥使用此模型或文件",
    "ask Google": "询问 Google",
    "the key's rules, or the files' project, do not allow the model": "密钥的规则或文件所在项目不允许该模型",
    "Keys: the models of the key's rules (`gateway keys rules ID --models …`)":
        "「密钥」页：密钥规则中的模型（`gateway keys rules ID --models …`）",
    "a part of Gemini's own API that needs a Gemini key of the client's own":
        "Gemini 原生 API 的这一部分需要客户端自己的 Gemini 密钥",
    "use one": "使用自己的密钥",
    "the cached content expired, or belongs to another project": "缓存内容已过期，或属于其他项目",
    "make it again": "重新创建",
    "Google does not know the model, or `models.unknown: reject`":
        "Google 不认识该模型，或设置了 `models.unknown: reject`",
    "name another; Models shows the names; `models.fallbacks`": "换一个模型；「模型」页列出名称；`models.fallbacks`",
    "it expired, never existed, or belongs to another key": "已过期、不存在或属于其他密钥",
    "the admin API of a gateway without a ledger": "网关没有账本",
    "set `ledger.url` or `pool.projects`": "设置 `ledger.url` 或 `pool.projects`",
    "`admin.playground.enabled` is false": "`admin.playground.enabled` 为 false",
    "set it to true": "设为 true",
    "the admin API of a gateway without a pool": "网关没有密钥池",
    "set `pool.projects`": "设置 `pool.projects`",
    "no such endpoint": "没有该接口",
    "`gateway routes`": "`gateway routes` 列出接口",
    "a client asked for a WebSocket on a path that has none, or `plugins.responses.websockets` are open":
        "客户端在不支持的路径上请求 WebSocket，或已打开 `plugins.responses.websockets` 个",
    "nothing: it goes on with HTTP. It is in the log, but not counted as an error":
        "无需处理：会改用 HTTP。它记入日志，但不算错误",
    "the object is being changed": "对象正在被更改",
    "try again": "重试",
    "the body exceeds `limits.body`, or Google's limit": "请求体超过 `limits.body` 或 Google 的上限",
    "send large files by the Files API": "大文件请用 Files API 发送",
    "the body stopped arriving for `connections.body_timeout`": "请求体中断超过 `connections.body_timeout`",
    "try again on a better network": "在更好的网络上重试",
    "a compressed body, other than gzip, deflate or (with `backports.zstd`) zstd, or one that is not in its "
    "coding":
        "请求体的压缩方式不是 gzip、deflate 或（装有 `backports.zstd` 时）zstd，或内容与其不符",
    "send it plain": "不压缩发送",
    "a limit of the client's own key: requests or tokens per minute or day, or requests at once; `refused_by` in "
    "the log says which, and its use":
        "客户端密钥自身的限额：每分钟或每天的请求数或 Token 数，或并发数；日志的 `refused_by` "
        "说明是哪一项及其用量",
    "wait for `retry-after`, or raise it in Keys, in the key's rules (`gateway keys rules ID`)":
        "等待 `retry-after`，或在「密钥」页的规则中调高（`gateway keys rules ID`）",
    "every project of the pool is cooling down for this model, or has used up a limit that Google has told":
        "池中所有项目对该模型都在暂歇，或已用完 Google 告知的限额",
    "wait for `retry-after`; Pool (`/admin/pool`) says when each is back; another project, or `models.fallbacks`":
        "等待 `retry-after`；「密钥池」页（`/admin/pool`）显示各项目何时恢复；增加项目，或设 `models.fallbacks`",
    "a quota per minute of Google's": "Google 的每分钟配额",
    "wait for `retry-after`; Pool (`/admin/pool`) shows which project rests":
        "等待 `retry-after`；「密钥池」页（`/admin/pool`）显示哪个项目在暂歇",
    "a budget of the client's issued key: what is left is less than the request may cost, which is reserved "
    "before the call. The message says how much is left, and how much the request needs":
        "客户端密钥的预算：余额少于请求可能的费用（调用前预留）。消息说明余额与所需",
    "a smaller `max_tokens` reserves less, and so does a smaller model; Keys shows the budgets and changes them "
    "(`gateway keys rules ID`); a new period begins at midnight UTC":
        "减小 `max_tokens` 或换更小的模型可减少预留；「密钥」页显示并更改预算（`gateway keys rules ID`）；"
        "新周期从 UTC 零点开始",
    "with a Gemini key of the client's own: Google's quota per day, or no credit":
        "客户端自带的 Gemini 密钥：Google 的每日配额用完或没有余额",
    "another key, or wait until midnight in California": "换密钥，或等到加州零点",
    "`limits.streams`, or the places for background responses": "达到 `limits.streams`，或后台响应名额已满",
    "add a machine, or raise the limit": "增加机器，或调高上限",
    "more work than the process can do, or too little memory; `gateway_refused_total` says which":
        "超出进程处理能力或内存不足；`gateway_refused_total` 说明是哪一种",
    "add a machine": "增加机器",
    "with `upstream_status`: Google's 500. Without: a fault of the gateway":
        "有 `upstream_status`：Google 的 500；没有：网关自身的故障",
    "for the second, look for the `crash` line and report it": "若是后者，请查找日志中的 `crash` 行并报告",
    "Google cancelled the call": "Google 取消了调用",
    "Google does not implement this": "Google 未实现此功能",
    "an answer that is not Gemini's, such as a front end's page": "答复不是来自 Gemini，例如前端页面",
    "try again; check `upstream.base_url`": "重试；检查 `upstream.base_url`",
    "no connection: DNS, firewall, proxy, certificate, the unit's IP filter. The message names the class":
        "无法连接：DNS、防火墙、代理、证书或 systemd 单元的 IP 过滤；消息说明类别",
    "Health (`gateway doctor`), and `cause` in the log: the host and the reason, also a private address that was "
    "refused (`upstream.private_addresses`)":
        "「健康」页（`gateway doctor`）与日志的 `cause` 给出主机和原因，"
        "也包括被拒绝的私有地址（`upstream.private_addresses`）",
    "a connection that had waited for a request closed instead of answering, three times running":
        "空闲连接连续三次未应答即关闭",
    "rare; the network or the upstream closes connections within 50 s": "少见；网络或上游在 50 秒内关闭连接",
    "Google ended the answer before it was complete": "Google 在答复完整之前结束了它",
    "an answer without content. It is asked for once more, and the second one is passed on; the code is then in "
    "`failures` of the log only":
        "答复没有内容。网关会再要一次并转发第二次的答复；此时该代码只在日志的 `failures` 中",
    "another model, if it happens often": "若经常发生，请换模型",
    "Google's model is overloaded; retries did not help": "Google 的模型过载，重试无效",
    "`models.fallbacks`": "设置 `models.fallbacks`",
    "requests in progress hold `limits.memory`": "进行中的请求占满 `limits.memory`",
    "clients try again by themselves; raise the limit, and `MemoryMax` with it":
        "客户端会自行重试；可调高上限及 `MemoryMax`",
    "no project serves this model, or Google refuses all keys, or their projects: suspended or without credit":
        "没有项目提供该模型，或 Google 拒绝所有密钥或其项目：被停用或没有余额",
    "Pool (`/admin/pool`) says why; `models` of `pool.projects`; replace the keys":
        "「密钥池」页（`/admin/pool`）说明原因；检查 `pool.projects` 的 `models`；更换密钥",
    "the database fails, and the client has a budget or `ledger.on_failure` is `stop`":
        "数据库故障，且客户端有预算或 `ledger.on_failure` 为 `stop`",
    "repair the database": "修复数据库",
    "a part of the admin API that only `gateway serve` has": "只有 `gateway serve` 提供的管理接口",
    "start the gateway with `gateway serve`": "用 `gateway serve` 启动网关",
    "the process has started with a faulty configuration, or its ledger cannot be opened":
        "进程以有误的配置启动，或账本无法打开",
    "Config and the log say what is wrong; the corrected file is taken over by itself":
        "「配置」页与日志说明错误；改正后的文件会自动生效",
    "the gateway restarts": "网关正在重启",
    "clients try again by themselves": "客户端会自行重试",
    "an operator has ended the request in the console": "操作员在控制台中止了该请求",
    "ask the operator": "询问操作员",
    "a filter of requests on the admin listener": "请求筛选条件有误",
    "the message names the term": "消息指出有误的条件",
    "eight viewers follow the requests already": "已有八个实时查看者",
    "close another tab of the console": "关闭另一个控制台标签页",
    "Google's own deadline": "Google 自身的时限",
    "try again with less": "减少内容后重试",
    "Google was silent for `upstream.timeouts.idle`, or did not read a request for `upstream.timeouts.write`":
        "Google 在 `upstream.timeouts.idle` 内没有数据，或在 `upstream.timeouts.write` 内没有读取请求",
    "a rule of the plugin `guard`": "插件 `guard` 的规则",
    "[guard](../do/plugins.md#guard); the rule's name is in the log": "见插件 `guard` 的文档；日志中有规则名",
    "a method of Gemini's own API that cannot have the texts of the plugin `system_prompt`":
        "Gemini 原生 API 的该方法无法带上插件 `system_prompt` 的文本",
    "[another method](../do/plugins.md#system_prompt), or a rule that leaves out this client or model":
        "换一个方法，或让规则排除该客户端或模型",
    "a hook of a plugin raised or hung, and its `on_error` is `refuse`":
        "插件的钩子出错或挂起，且其 `on_error` 为 `refuse`",
    "the line of `gateway.plugins.<name>` in the log has the hook and the place in its code":
        "日志中 `gateway.plugins.<名称>` 的行给出钩子及其代码位置",
    "`upstream.base_url` is the address of a gateway": "`upstream.base_url` 是网关自己的地址",
    "set it to Gemini's": "设为 Gemini 的地址",
    "a model of another kind, such as a chat model on `/v1/images`; Google is not asked":
        "模型的种类不符，例如在 `/v1/images` 上使用聊天模型；不会询问 Google",
    "a model of that kind, or a name of another vendor: `models.image` and its neighbours answer it":
        "换该种类的模型，或其他厂商的名称：由 `models.image` 等设置应答",
    "a JSON body, or another, where a file in a form is needed": "需要表单中的文件，却收到 JSON 或其他请求体",
    "send `multipart/form-data`; most clients choose it when they are given a file":
        "请发送 `multipart/form-data`；多数客户端在给出文件时会自动使用",
    "a form that was cut, has no boundary, a part without a name, a field twice, or more than 128 parts":
        "表单被截断、没有 boundary、某部分没有名称、字段重复，或超过 128 个部分",
    "the message names the fault; let a library write the form and its Content-Type":
        "消息指出错误；请让库生成表单及其 Content-Type",
    "a file is to be stored, and nine tenths of the disk are in use": "要保存文件，而磁盘已用九成",
    "free space on the disk of `STATE_DIRECTORY`, or a larger one": "清理 `STATE_DIRECTORY` 所在磁盘，或换更大的磁盘",
    "a Live session, where a plugin checks or changes prompts or answers": "Live 会话，而有插件检查或更改提示或答复",
    "use another API, or take the plugin out": "改用其他接口，或移除该插件",
    "a recording that is empty": "录音为空",
    "send a file with sound in it": "发送有声音的文件",
    "a speech model answered twice without sound, and no filter explains it":
        "语音模型两次都没有返回声音，且不是过滤所致",
    "try again, with a shorter text or without instructions inside of it": "重试，缩短文本或去掉其中的指令",
    "`/v1/files` without a folder: no `plugins.files.path`, and no STATE_DIRECTORY":
        "`/v1/files` 没有文件夹：未设置 `plugins.files.path`，也没有 STATE_DIRECTORY",
    "set `plugins.files.path`": "设置 `plugins.files.path`",
    "an upload that never was, or of another key": "上传不存在，或属于其他密钥",
    "begin another upload": "重新开始上传",
    "upload it again, with the key that uses it": "用使用它的密钥重新上传",
    "convert it to PDF, text, a picture, sound or video": "转换为 PDF、文本、图片、声音或视频",
    "a file for batches that does not begin with JSON; an upload whose parts are not the announced bytes, or "
    "that was completed, cancelled or has expired":
        "批处理文件不以 JSON 开头；或上传的各部分与声明的字节数不符，或已完成、取消或过期",
    "the message says which; begin another upload": "消息说明是哪一种；请重新上传",
    "a file that was deleted, has expired, or was uploaded with another key": "文件已删除、过期，或由其他密钥上传",
    "Google has not processed a video within a minute": "Google 一分钟内未处理完视频",
    "try again a minute later": "一分钟后重试",
    "a file that Gemini does not read or could not process, an empty one, or, for Anthropic's clients, one that "
    "no tool has made":
        "Gemini 不读取或无法处理的文件、空文件，或（Anthropic 客户端）并非由工具生成的文件",
}  # fmt: skip
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def in_language(values: dict[str, Any], language: str | None) -> dict[str, Any]:
    """Return values with `cause` and `remedy` for a browser's `Accept-Language`, without the documentation's links."""
    texts = {name: str(values[name]) for name in ("cause", "remedy")}
    return {
        **values,
        **{
            name: _LINK.sub(r"\1", TEXTS.get(text, text) if is_chinese(language) else text)
            for name, text in texts.items()
        },
    }
