"""Findings of the doctor in Chinese, by the English text with `{}` for each value."""

import re

from gateway.console.needs_zh import is_chinese

TEXTS = {
    "`gateway serve` runs these checks and tries the keys; this process does not":
        "这些检查以及对密钥的验证由 `gateway serve` 进行；此进程不进行",
    # gateway doctor, without the network
    "the table of models and prices is of {}, {} days old": "模型与价格表的日期为 {}，已有 {} 天",
    "the table of models and prices is of {}, {} days old: budgets may count wrong prices.":
        "模型与价格表的日期为 {}，已有 {} 天：预算可能按错误的价格计算。",
    "Update the gateway, or compare the table: gateway models --compare, gateway prices --compare FILE.":
        "更新网关，或比对该表：gateway models --compare、gateway prices --compare FILE。",
    "{} is valid": "{} 有效",
    "{}: every setting has its default": "{}：所有设置均为默认值",
    "Correct the file; docs/refer/config.md describes each setting.":
        "更正该文件；docs/refer/config.md 说明每项设置。",
    "the check failed: {}: {}": "检查本身失败：{}：{}",
    "Look at this first.": "请先处理此项。",
    "AIOHTTP_NO_EXTENSIONS is set: HTTP is parsed in Python, slower and less strictly.":
        "设置了 AIOHTTP_NO_EXTENSIONS：HTTP 由 Python 解析，更慢且不够严格。",
    "Unset it for the service.": "为该服务取消此设置。",
    "aiohttp was installed without its parser in C.": "安装的 aiohttp 没有 C 解析器。",
    "Install aiohttp from a wheel: make install does so.": "从 wheel 安装 aiohttp：make install 即如此。",
    "Python {}, with aiohttp's parser in C": "Python {}，aiohttp 使用 C 解析器",
    "{} has code that Python runs at each start, with all rights of the gateway.":
        "{} 含有 Python 每次启动都会运行的代码，拥有网关的全部权限。",
    "Find out which package brought it; if none is known, install into a new environment.":
        "查明由哪个软件包带来；若不明，请安装到新环境。",
    "no unknown code runs at the start of Python": "Python 启动时不运行未知代码",
    "{} files may be open, and limits.streams: {} needs {}.":
        "最多可打开 {} 个文件，而 limits.streams: {} 需要 {} 个。",
    "Set LimitNOFILE={} in the unit (65536 as shipped), or lower limits.streams.":
        "在 unit 中设置 LimitNOFILE={}（出厂为 65536），或降低 limits.streams。",
    "{} files may be open; {} are needed": "最多可打开 {} 个文件；需要 {} 个",
    "there is no pool: clients bring their own keys": "没有密钥池：客户端自带密钥",
    "key {} of project {} does not look like a Gemini key, which begins with AQ. or is 39 characters that begin with "
    "AIza.":
        "密钥 {}（项目 {}）不像 Gemini 密钥：应以 AQ. 开头，或为以 AIza 开头的 39 个字符。",
    "Compare it with https://aistudio.google.com/apikey.": "与 https://aistudio.google.com/apikey 比对。",
    "all keys of the pool have the form of a Gemini key; --online tries them":
        "池中所有密钥都符合 Gemini 密钥的格式；--online 会逐个尝试",
    "nothing is stored on disk": "磁盘上不存储任何内容",
    "{} is not writable, or does not exist.": "{} 不可写或不存在。",
    "Create it for the user of the service; the unit has StateDirectory=gateway.":
        "为服务的用户创建它；unit 中有 StateDirectory=gateway。",
    "{} has {} MB of free space.": "{} 仅剩 {} MB 空间。",
    "Free some; a full disk loses rows of the ledger once its buffer is full.":
        "请清理空间；磁盘写满且缓冲用尽后，账本会丢失记录。",
    "{} is writable and has {} MB of free space": "{} 可写，剩余 {} MB 空间",
    "there is no ledger": "没有账本",
    "{} does not exist yet; the first start creates it": "{} 尚不存在；首次启动会创建",
    "{} is sound": "{} 完好",
    "{} is corrupt: {}.": "{} 已损坏：{}。",
    "Restore it from a backup (docs/do/backup-upgrade.md, Back up), or set ledger.on_corrupt: fresh.":
        "从备份恢复（docs/do/backup-upgrade.md，Back up），或设 ledger.on_corrupt: fresh。",
    "PostgreSQL answers": "PostgreSQL 有应答",
    "PostgreSQL does not answer: {}.": "PostgreSQL 没有应答：{}。",
    "Check the server, ledger.url and ledger.password; on a private address, add IPAddressAllow= to the unit.":
        "检查服务器、ledger.url 与 ledger.password；若为私有地址，请在 unit 中加入 IPAddressAllow=。",
    "all files have the schemas of this gateway": "所有文件的结构都与本网关一致",
    "nothing is stored in files": "没有内容存储在文件中",
    # the network
    "{} cannot be resolved: {}.": "无法解析 {}：{}。",
    "Check /etc/resolv.conf; on a private address, the resolver must be in IPAddressAllow= of the unit.":
        "检查 /etc/resolv.conf；若解析器为私有地址，须列入 unit 的 IPAddressAllow=。",
    "{} is {}, which is not a public address.": "{} 解析为 {}，不是公网地址。",
    "Something answers in place of Google: check the resolver and /etc/hosts.":
        "有其他主机冒充 Google 应答：检查解析器与 /etc/hosts。",
    "{} has {} addresses": "{} 有 {} 个地址",
    "{} is asked without TLS: right for an emulator on this machine only": "对 {} 不使用 TLS：仅适用于本机的模拟器",
    "{} cannot be reached: {}.": "无法连接 {}：{}。",
    "{}, and the certificate of {} is valid for {} days": "{}，{} 的证书还有 {} 天有效",
    "the certificate of {} ends in {} days.": "{} 的证书将在 {} 天后到期。",
    "Whoever runs it must renew it.": "须由其运营者续期。",
    "{} does not say the time": "{} 没有给出时间",
    "the clock differs from that of {} by {} seconds.": "本机时钟与 {} 相差 {} 秒。",
    "Start an NTP client (systemctl enable --now systemd-timesyncd): limits and budgets go by it.":
        "启动 NTP 客户端（systemctl enable --now systemd-timesyncd）：限额与预算以时钟为准。",
    "the clock agrees with that of {}": "本机时钟与 {} 一致",
    "Google accepts {}": "Google 接受{}",
    "{} has reached a limit of Google's now": "{}当前已达 Google 的限额",
    "Google refuses {} with {}.": "Google 拒绝{}（{}）。",
    "Replace it: https://aistudio.google.com/apikey. Then restart the service.":
        "请更换：https://aistudio.google.com/apikey，然后重启服务。",
    "Google answered {} to {}.": "Google 以 {} 应答{}。",
    "Try again later.": "请稍后再试。",
    "{} could not be tried: {}.": "无法尝试{}：{}。",
    "See the findings about dns and tls.": "参见 dns 与 tls 的检查结果。",
    "the unit's IP filter can be tested only inside the unit, not from a shell":
        "unit 的 IP 过滤只能在 unit 内检查，不能从 shell 检查",
    "the kernel refuses private addresses": "内核拒绝访问私有地址",
    "{}:{} {}: IPAddressDeny= has no effect.": "{}:{} {}：IPAddressDeny= 没有生效。",
    "The kernel or container lacks cgroup BPF; deny private addresses in the firewall instead.":
        "内核或容器缺少 cgroup BPF；请改在防火墙中禁止私有地址。",
    "set GATEWAY_API_KEY to a key for the gateway": "请把 GATEWAY_API_KEY 设为网关的密钥",
    "{} answered {}.": "{} 以 {} 应答。",
    "docs/refer/errors.md explains it.": "docs/refer/errors.md 有说明。",
    "{} does not answer: {}.": "{} 没有应答：{}。",
    "Check nginx, its certificate and the firewall.": "检查 nginx、其证书与防火墙。",
    "the certificate of {} is not accepted: {}.": "{} 的证书不被接受：{}。",
    "{} events came in {} batches over {} seconds": "{} 个事件分 {} 批到达，历时 {} 秒",
    "the answer was too short to tell: {} events, {} bytes": "回答太短，无法判断：{} 个事件，{} 字节",
    "all {} events of a stream came {}: a proxy holds answers back.": "流的全部 {} 个事件{}到达：有代理扣留了回答。",
    "In nginx: proxy_buffering off, proxy_http_version 1.1 and gzip off, as in config/nginx.conf.":
        "在 nginx 中：proxy_buffering off、proxy_http_version 1.1、gzip off，如 config/nginx.conf。",
    # the process
    "the event loop was {} ms late at most in the last minute": "最近一分钟事件循环最多延迟 {} 毫秒",
    "Something blocks it: look for heavy requests, swap, or a machine with too little CPU.":
        "它被阻塞了：检查大请求、交换分区，或 CPU 不足的机器。",
    "{} rows of the ledger wait, {} were dropped": "账本有 {} 条记录等待写入，{} 条已丢弃",
    "Look at the database: it is down or slow.": "检查数据库：它已停止或过慢。",
    "Redis answers": "Redis 有应答",
    "Redis does not answer": "Redis 没有应答",
    "Limits of keys are counted by each machine alone until it does: check the server and `state.redis`.":
        "在它应答之前，密钥的限额由每台机器各自计数：检查服务器与 `state.redis`。",
    "{} lines of the log were dropped": "日志有 {} 行被丢弃",
    "The reader of standard error is too slow or has stopped.": "读取标准错误的程序过慢或已停止。",
}  # fmt: skip
"""A new finding needs its line here."""
PARTS = {
    "key {} of project {}": "密钥 {}（项目 {}）",
    "was reached": "可以连接",
    "is not refused by the kernel ({})": "未被内核拒绝（{}）",
    "at once": "一次性",
    "in {} batches": "分 {} 批",
}
"""Values of other texts."""
CHECKS = {
    "gateway doctor": "gateway doctor 的检查",
    "event loop": "事件循环", "ledger writer": "账本写入", "log": "日志", "startup": "启动", "config": "配置",
    "models": "模型", "descriptors": "文件描述符", "keys": "密钥", "disk": "磁盘", "ledger": "账本",
    "stores": "存储", "clock": "时钟", "online": "在线检查", "filter": "IP 过滤", "streaming": "流式",
}  # fmt: skip
"""Names of checks; the others are the same in both languages."""


def in_language(text: str, language: str | None) -> str:
    """Return a check, a message or a remedy for a browser's `Accept-Language`; an unknown text stays as it is."""
    return _chinese(text) if is_chinese(language) else text


def _chinese(text: str) -> str:
    if text in CHECKS:
        return CHECKS[text]
    for pattern, chinese in _PATTERNS:
        if match := pattern.fullmatch(text):
            return chinese.format(*map(_chinese, match.groups()))
    return text


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, english.split("{}"))), re.DOTALL)


_PATTERNS = [
    (_pattern(english), chinese)
    for english, chinese in sorted(
        {**TEXTS, **PARTS}.items(), key=lambda pair: -len(pair[0].replace("{}", ""))
    )
]
"""Those with the most text of their own first: some fit what others do, too."""
