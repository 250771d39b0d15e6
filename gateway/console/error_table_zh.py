"""Causes and remedies of the table of errors in Chinese, by the English text."""

import re
from typing import Any

from gateway.console.needs_zh import is_chinese

TEXTS = {
    "a file of `/v1/images` that is no picture, has too many bytes or pixels, or needs the extra `images`":
        "`/v1/images` 的文件不是图片、字节或像素过多，或需要附加组件 `images`",
    "the client sends png, jpeg or webp; `gateway plugin install --extra images` adds the extra":
        "客户端改用 png、jpeg 或 webp；`gateway plu"
        "gin install --extra images` 安装附加组件",
    "Google's filters refuse the prompt or the picture; the message has its reason":
        "Google 的过滤器拒绝了提示词或图片；消息中有原因",
    "the client asks otherwise, or sets its own thresholds; `safety` of the configuration has the gateway's":
        "客户端换一个提示词或设置自己的阈值；网关的阈值在配置 `safety` 中",
    "the model answered without a picture; the message has its words": "模型的回答中没有图片；消息中有它的原话",
    "the client's prompt should ask for a picture":
        "客户端的提示词应要求生成图片",
    "the request; `param` names the field": "请求有误；`param` 指出字段",
    "the client must be corrected: its own log has the message":
        "需修正客户端：它自己的日志里有错误消息",
    "a field that cannot be honoured, with `compat: strict`": "无法支持的字段（`compat: strict` 时）",
    "the client leaves the field out; or set `compat: lenient`, which ignores it with a note":
        "客户端去掉该字段；或设 `compat: lenient`，忽略并注明",
    "more tokens than the model reads": "Token 数超过模型的上下文",
    "the client shortens the conversation; or give it a model that reads more":
        "客户端缩短对话；或换上下文更长的模型",
    "a remote file cannot be fetched or is not allowed (`media`)": "远程文件无法获取或不被允许（`media`）",
    "the client sends the file as a `data:` URL; or allow more in `media`":
        "客户端改用 `data:` URL 发送；或放宽 `media`",
    "the header `Host` is missing or no host; from nginx: a host that it does not serve":
        "缺少 `Host` 头或其值不是主机名；来自 nginx：它不服务该主机",
    "correct the client or the proxy": "修正客户端或代理",
    "two different keys in one request": "一个请求中有两个不同的密钥",
    "the client sends one key, in one place":
        "客户端只在一处发送一个密钥",
    "Google does not serve the place that the gateway is in": "Google 不向网关所在地区提供服务",
    "run the gateway in another place, or use a paid project":
        "换一个地区运行网关，或使用付费项目",
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
    "sign in with a token of `admin.token` or `admin.tokens`; `gateway console` prints the way in":
        "用 `admin.token` 或 `admin.tokens"
        "` 的令牌登录；`gateway console` 会打印入口",
    "five wrong admin tokens from one address within a minute": "同一地址一分钟内五次错误的管理令牌",
    "wait a minute, then sign in with a token of the configuration":
        "等待一分钟，再用配置中的令牌登录",
    "an operator with `may: read` tried to change something": "`may: read` 的操作员试图更改",
    "sign in with another token of `admin.tokens`":
        "用 `admin.tokens` 的其他令牌登录",
    "a change in the console that does not come from its own pages": "更改请求不是来自控制台自己的页面",
    "programs send `Authorization: Bearer`; a proxy must not change `Host`":
        "程序请发送 `Authorization: Bearer`；代理不得更改 `Host`",
    "a browser opened the console under a name that is not its own": "浏览器以不属于控制台的主机名打开了它",
    "open it as 127.0.0.1 or localhost, or add the name to `admin.hosts`":
        "用 127.0.0.1 或 localhost 打开，或把该名称加入 `admin.hosts`",
    "Google refuses the key for this model or file": "Google 拒绝该密钥使用此模型或文件",
    "check at Google whether the key's project may use the model and owns the file":
        "在 Google 查看该密钥的项目能否使用此模型、文件是否属于它",
    "the key's rules, or the files' project, do not allow the model": "密钥的规则或文件所在项目不允许该模型",
    "Keys: the models of the key's rules (`gateway keys rules ID --models …`)":
        "「密钥」页：密钥规则中的模型（`gateway keys rules ID --models …`）",
    "a part of Gemini's own API that needs a Gemini key of the client's own":
        "Gemini 原生 API 的这一部分需要客户端自己的 Gemini 密钥",
    "the client uses a Gemini key of its own":
        "客户端使用自带的 Gemini 密钥",
    "the cached content expired, or belongs to another project": "缓存内容已过期，或属于其他项目",
    "the client makes it again":
        "客户端重新创建",
    "Google does not know the model, or `models.unknown: reject`":
        "Google 不认识该模型，或设置了 `models.unknown: reject`",
    "the client names another: Models shows the names. `models.aliases` maps a name to a model":
        "客户端换一个名称：「模型」页列出可用名称；`models.aliases` 可把名称映射到模型",
    "it expired, never existed, or belongs to another key": "已过期、不存在或属于其他密钥",
    "the admin API of a gateway without a ledger": "网关没有账本",
    "set `ledger.url` or `pool.projects` in the configuration":
        "在配置中设置 `ledger.url` 或 `pool.projects`",
    "`admin.playground.enabled` is false": "`admin.playground.enabled` 为 false",
    "set `admin.playground.enabled` to true":
        "把 `admin.playground.enabled` 设为 true",
    "the admin API of a gateway without a pool": "网关没有密钥池",
    "set `pool.projects` in the configuration":
        "在配置中设置 `pool.projects`",
    "no such endpoint": "没有该接口",
    "the client's base URL or path is wrong; `gateway routes` prints all endpoints":
        "客户端的基础 URL 或路径有误；`gateway routes` 打印所有端点",
    "a client asked for a WebSocket on a path that has none, or `plugins.responses.websockets` are open":
        "客户端在不支持的路径上请求 WebSocket，或已打开 `plugins.responses.websockets` 个",
    "nothing: it goes on with HTTP. It is in the log, but not counted as an error":
        "无需处理：会改用 HTTP。它记入日志，但不算错误",
    "the object is being changed": "对象正在被更改",
    "clients try again; if it lasts, look at Google's status and at Health":
        "客户端重试即可；若持续出现，请看 Google 的状态页与「健康」页",
    "a client's files are as many, or as large in all, as `plugins.files` allows":
        "客户端的文件数量或总大小已达 `plugins.files` 的上限",
    "the client deletes files; or raise the limits of `plugins.files`":
        "客户端删除文件；或调高 `plugins.files` 的上限",
    "the body exceeds `limits.body`, or Google's limit": "请求体超过 `limits.body` 或 Google 的上限",
    "the client sends large files by the Files API; or raise `limits.body`":
        "客户端用 Files API 发送大文件；或提高 `limits.body`",
    "the body stopped arriving for `connections.body_timeout`": "请求体中断超过 `connections.body_timeout`",
    "the client tries again on a better network; or raise `connections.body_timeout`":
        "客户端换更好的网络重试；或提高 `connections.body_timeout`",
    "a compressed body, other than gzip, deflate or (with `backports.zstd`) zstd, or one that is not in its "
    "coding":
        "请求体的压缩方式不是 gzip、deflate 或（装有 `backports.zstd` 时）zstd，或内容与其不符",
    "the client sends it without compression":
        "客户端不压缩发送",
    "a limit of the client's own key: requests or tokens per minute or day, or requests at once (in the log: "
    "`refused_by`)":
        "客户端密钥自身的限额：每分钟或每天的请求数或 Token 数，或并发数（日志中为 `refused_by`）",
    "nothing, if the limit is meant: the client waits for `retry-after`. To allow more, raise it in Keys, in the "
    "key's rules (`gateway keys rules ID`)":
        "若限额正是所需，则无需处理：客户端会等待 `retry-after`。要放宽"
        "，请在「密钥」页的规则中提高（`gateway keys rules ID`）",
    "every project of the pool is cooling down for this model, or has used up a limit that Google has told":
        "池中所有项目对该模型都在暂歇，或已用完 Google 告知的限额",
    "add a project to `pool.projects`, or another model to `models.fallbacks`; Pool (`/admin/pool`) says when each "
    "is back. Clients wait for `retry-after`":
        "在 `pool.projects` 增加项目，或在 `models.fallbacks` 增加其他模型"
        "；「密钥池」页（`/admin/pool`）显示各自恢复时间。客户端会等待 `retry-after`",
    "a quota per minute of Google's": "Google 的每分钟配额",
    "more projects or a higher tier at Google allow more; Pool (`/admin/pool`) shows which project rests. Clients "
    "wait for `retry-after`":
        "增加项目或提升 Google 的等级可放宽；「密钥池」页（`/admin"
        "/pool`）显示哪个项目在暂歇。客户端会等待 `retry-after`",
    "a budget of the client's issued key: what is left is less than the request may cost, which is reserved "
    "before the call. The message says how much is left, and how much the request needs":
        "客户端密钥的预算：余额少于请求可能的费用（调用前预留）。消息说明余额与所需",
    "Keys shows the budgets and changes them (`gateway keys rules ID`); a new period begins at midnight UTC. A "
    "client's smaller `max_tokens` or smaller model reserves less":
        "「密钥」页显示并更改预算（`gateway keys rules ID`）；新周期从"
        " UTC 午夜开始。客户端用较小的 `max_tokens` 或较小的模型，预留更少",
    "with a Gemini key of the client's own: Google's quota per day, or no credit":
        "客户端自带的 Gemini 密钥：Google 的每日配额用完或没有余额",
    "the client's own project needs credit or a higher tier at Google; its quota per day is new at midnight in "
    "California":
        "客户端自己的项目需要余额或更高等级；其每日配额在加州午夜重置",
    "`limits.streams`, or the places for background responses": "达到 `limits.streams`，或后台响应名额已满",
    "raise `limits.streams`, or add a machine":
        "提高 `limits.streams`，或增加机器",
    "more work than the process can do, or too little memory; `gateway_refused_total` says which":
        "超出进程处理能力或内存不足；`gateway_refused_total` 说明是哪一种",
    "look at Health; then add memory, a core or a machine":
        "查看「健康」页；再增加内存、核心或机器",
    "with `upstream_status`: Google's 500. Without: a fault of the gateway":
        "有 `upstream_status`：Google 的 500；没有：网关自身的故障",
    "for the second, look for the `crash` line and report it": "若是后者，请查找日志中的 `crash` 行并报告",
    "Google cancelled the call": "Google 取消了调用",
    "Google does not implement this": "Google 未实现此功能",
    "an answer that is not Gemini's, such as a front end's page": "答复不是来自 Gemini，例如前端页面",
    "check `upstream.base_url` and what stands between the gateway and Google; clients try again":
        "检查 `upstream.base_url` 以及网关与 Google 之间的设备；客户端会重试",
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
    "if it happens often, name another model in `models.fallbacks`":
        "若经常发生，请在 `models.fallbacks` 中指定其他模型",
    "Google's model is overloaded; retries did not help": "Google 的模型过载，重试无效",
    "clients try again. Name other models in `models.fallbacks`, which answer while this one is overloaded":
        "客户端会重试。请在 `models.fallbacks` 中指定其他模型，在此模型过载时代为应答",
    "requests in progress hold `limits.memory`": "进行中的请求占满 `limits.memory`",
    "clients try again by themselves; raise the limit, and `MemoryMax` with it":
        "客户端会自行重试；可调高上限及 `MemoryMax`",
    "no project serves this model; or all are paused; or Google refuses all keys, or their projects: suspended or "
    "without credit":
        "没有项目提供该模型；或项目都已暂停；或 Google 拒绝所有密钥或其项目：被停用或没有余额",
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
    "nothing: the audit (`GET /admin/audit`) says who ended it":
        "无需处理：审计（`GET /admin/audit`）说明由谁结束",
    "a filter of requests on the admin listener": "请求筛选条件有误",
    "the message names the term": "消息指出有误的条件",
    "eight viewers follow the requests already": "已有八个实时查看者",
    "close another tab of the console": "关闭另一个控制台标签页",
    "Google's own deadline": "Google 自身的时限",
    "the client tries again with less":
        "客户端减少内容后重试",
    "Google was silent for `upstream.timeouts.idle`, or did not read a request for `upstream.timeouts.write`":
        "Google 在 `upstream.timeouts.idle` 内没有数据，或在 `upstream.timeouts.write` 内没有读取请求",
    "a rule of the plugin `guard`; of a speech or a transcription also a filter of Google's":
        "插件 `guard` 的规则；语音和转写也可能是 Google 的过滤器",
    "[guard](../do/plugins.md#guard); the rule's name is in the log. After a filter the client changes the text":
        "见插件 `guard` 的文档；日志中有规则名。被过滤器拒绝时由客户端修改文本",
    "a method of Gemini's own API that cannot have the texts of the plugin `system_prompt`":
        "Gemini 原生 API 的该方法无法带上插件 `system_prompt` 的文本",
    "the client uses [another method](../do/plugins.md#system_prompt); or write a rule that leaves out this client "
    "or model":
        "客户端换一个方法；或让规则排除该客户端或模型",
    "a hook of a plugin raised or hung, and its `on_error` is `refuse`":
        "插件的钩子出错或挂起，且其 `on_error` 为 `refuse`",
    "the line of `gateway.plugins.<name>` in the log has the hook and the place in its code":
        "日志中 `gateway.plugins.<名称>` 的行给出钩子及其代码位置",
    "`upstream.base_url` is the address of a gateway": "`upstream.base_url` 是网关自己的地址",
    "set `upstream.base_url` to Gemini's address, or leave it out":
        "把 `upstream.base_url` 设为 Gemini 的地址，或不设置",
    "a model of another kind, such as a chat model on `/v1/images`; Google is not asked":
        "模型的种类不符，例如在 `/v1/images` 上使用聊天模型；不会询问 Google",
    "the client names a model of that kind, or one of another vendor: `models.image` and its neighbours answer it":
        "客户端换该种类的模型，或其他厂商的名称：由 `models.image` 等设置应答",
    "a JSON body, or another, where a file in a form is needed": "需要表单中的文件，却收到 JSON 或其他请求体",
    "the client sends `multipart/form-data`; most choose it when they are given a file":
        "客户端应发送 `multipart/form-data`；多数客户端在给出文件时会自动使用",
    "a form that was cut, has no boundary, a part without a name, a field twice, or more than 128 parts":
        "表单被截断、没有 boundary、某部分没有名称、字段重复，或超过 128 个部分",
    "the client's message names the fault; a library should write the form and its Content-Type":
        "客户端收到的消息指出错误；应由库生成表单及其 Content-Type",
    "a file is to be stored, and nine tenths of the disk are in use": "要保存文件，而磁盘已用九成",
    "free space on the disk of `STATE_DIRECTORY`, or move it to a larger one":
        "清理 `STATE_DIRECTORY` 所在磁盘，或换更大的磁盘",
    "a Live session, where a plugin checks or changes prompts or answers": "Live 会话，而有插件检查或更改提示或答复",
    "the client uses another API; or take the plugin out of `plugins`":
        "客户端改用其他接口；或从 `plugins` 移除该插件",
    "a recording that is empty": "录音为空",
    "the client sends a file with sound in it":
        "客户端发送有声音的文件",
    "a speech model answered twice without sound, and no filter explains it":
        "语音模型两次都没有返回声音，且不是过滤所致",
    "the client tries again, with a shorter text or without instructions inside of it":
        "客户端重试，缩短文本或去掉其中的指令",
    "`/v1/files` without a folder: no `plugins.files.path`, and no STATE_DIRECTORY":
        "`/v1/files` 没有文件夹：未设置 `plugins.files.path`，也没有 STATE_DIRECTORY",
    "set `plugins.files.path`, or start the gateway with a STATE_DIRECTORY":
        "设置 `plugins.files.path`，或带 STATE_DIRECTORY 启动网关",
    "the input file of a batch was not uploaded with the purpose `batch`": "批处理的输入文件上传时的用途不是 `batch`",
    "the client uploads it with `purpose=batch`": "客户端用 `purpose=batch` 上传",
    "a batch that never was, or of another key": "批处理不存在，或属于其他密钥",
    "the client asks with the key that created it": "客户端用创建它的密钥查询",
    "`/v1/batches` without a folder: no `plugins.batches.path`, and no STATE_DIRECTORY":
        "`/v1/batches` 没有文件夹：未设置 `plugins.batches.path`，也没有 STATE_DIRECTORY",
    "set `plugins.batches.path`, or start the gateway with a STATE_DIRECTORY":
        "设置 `plugins.batches.path`，或带 STATE_DIRECTORY 启动网关",
    "a message batch that has ended cannot be canceled": "已结束的消息批处理不能取消",
    "nothing: its results can be read": "无需处理：结果可以读取",
    "a message batch has no results, and cannot be deleted, before it has ended":
        "消息批处理结束之前没有结果，也不能删除",
    "the client waits, or cancels it": "客户端等待，或取消它",
    "a message batch whose results were not written": "消息批处理的结果没有写入",
    "the client sends the requests again": "客户端重新发送请求",
    "a batch that has ended cannot be cancelled": "已结束的批处理不能取消",
    "nothing: its results are in its files": "无需处理：结果在它的文件里",
    "in the error file of a batch: Google has failed, or not answered, the line":
        "在批处理的错误文件里：Google 处理失败，或没有回答该行",
    "the client sends the lines of its error file again": "客户端重新发送错误文件中的各行",
    "in the error file of a batch: the gateway was stopped while it asked for the line itself (`run: here`)":
        "在批处理的错误文件中：网关自行请求该行（`run: here`）时被停止",
    "the client sends the lines of its error file again, if it needs them: they may have been paid for":
        "客户端若仍需要，重新发送错误文件中的各行：这些行可能已经计费",
    "an upload that never was, or of another key": "上传不存在，或属于其他密钥",
    "the client begins another upload":
        "客户端重新开始上传",
    "the client uploads it again, with the key that uses it":
        "客户端用使用它的密钥重新上传",
    "the client converts it to PDF, text, a picture, sound or video":
        "客户端转换为 PDF、文本、图片、声音或视频",
    "a file for batches that does not begin with JSON; an upload whose parts are not the announced bytes, or "
    "that was completed, cancelled or has expired":
        "批处理文件不以 JSON 开头；或上传的各部分与声明的字节数不符，或已完成、取消或过期",
    "the client's message says which; it begins another upload":
        "客户端收到的消息说明是哪一种；它应重新上传",
    "a file that was deleted, has expired, or was uploaded with another key": "文件已删除、过期，或由其他密钥上传",
    "Google has not processed a video within a minute": "Google 一分钟内未处理完视频",
    "clients try again a minute later; a shorter video is ready sooner":
        "客户端一分钟后重试；较短的视频更快就绪",
    "a file that Gemini does not read or could not process, an empty one, or, for Anthropic's clients, one that "
    "no tool has made":
        "Gemini 不读取或无法处理的文件、空文件，或（Anthropic 客户端）并非由工具生成的文件",
    "the client must do without it":
        "客户端只能不使用它",
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
