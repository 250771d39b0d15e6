"""Sentences about what needs an operator in Chinese, and the pool's reasons in words of both languages."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.policy.pool.projects import ADVICE

SENTENCES = {
    "no_ledger": "没有账本：没有签发的密钥、预算或用量。请设置 ledger.url 或 pool.projects。",
    "no_pool": "没有密钥池：客户端自带 Gemini 密钥。要签发密钥，请设置 pool.projects。",
    "ledger_down": "账本数据库不可用；带预算的密钥会被拒绝。",
    "key_refused": "Google 拒绝了 {project} 的密钥 {key}（{reason}）。{advice}",
    "project_refused": "Google 拒绝了项目 {project}（{reason}）。{advice}",
    "project_rests": "{project} 对 {model} 暂歇到 {until}（{reason}）。",
    "project_paused": "{project} 已暂停。",
    "no_project_runs": "全部项目已暂停：使用签发密钥的请求会被拒绝。",
    "no_project_free": "没有项目可用于 {model}；最早 {until} 恢复。",
    "budget_low": "{name} 的{period}预算还剩 {left_share:.0%}。",
    "prices_old": "模型与价格表已有 {days} 天：请更新网关。",
    "config_differs": "磁盘上的 {file} 与正在使用的配置不同。",
    "config_faulty": "磁盘上的 {file} 有错误：重启后所有请求都会得到 503。",
    "restart_needed": "以下设置需要重启：{settings}。",
    "refused_now": "最近 5 分钟 {requests} 个请求中有 {count} 个被拒绝或失败，其中 {most} 个为 {code}{limit}。",
    "instance_silent": "{instance} 一秒内没有应答：此处缺少它的数据。",
}
_REASONS = {
    "day": ("the day's quota is spent", "当日配额已用完"),
    "minute": ("the minute's quota is spent", "当前分钟配额已用完"),
    "limited": ("refused without details", "被限流，没有说明"),
    "learned_limit": ("a limit that Google has told is reached", "已达到 Google 告知的上限"),
    "unserved": ("Vertex AI does not have the model there", "Vertex AI 在该位置没有此模型"),
    "failing": ("calls fail", "调用失败"),
    "paused": ("by an operator", "由操作员暂停"),
    "bad": ("the key is not valid", "密钥无效"),
    "leaked": ("the key was published", "密钥已泄露"),
    "suspended": ("the project may not use the API", "项目不得使用该 API"),
    "spent": ("no credit, or the spending cap is reached", "没有余额或已达支出上限"),
}
_ADVICE = {
    "bad": "稍后会再次尝试；若一直被拒绝，请更换。",
    "leaked": "Google 称此密钥已被公开，不再使用：请更换。若 Google 有误，用 `gateway keys put-back` 恢复。",
    "suspended": "Google 不允许此项目使用 API；稍后会再次尝试。",
    "spent": "项目已达每月支出上限，或余额已用完。请在 https://ai.studio/spend 提高上限或充值，再用 "
    "`gateway keys put-back` 恢复。在此之前，每隔 `pool.reprobe` 秒有一次调用尝试它。",
    "unserved": "Vertex AI 在该项目的位置没有此模型，或项目的账号不得使用它。此模型最后才问该项目，十分钟后恢复。请换 "
    "`vertex.location`，授予 Vertex AI User 角色，或在 `models` 中列出它提供的模型。",
}
_PERIODS = {"day": "每天", "month": "每月", "total": "总"}


def is_chinese(language: str | None) -> bool:
    """Return whether a browser's `Accept-Language` begins with Chinese."""
    return (language or "").lower().startswith("zh")


def reason(code: str, language: str | None) -> str:
    """Return a reason of the pool in words; an unknown one stays as it is."""
    words = _REASONS.get(code)
    return words[is_chinese(language)] if words is not None else code


def advice(code: str, language: str | None) -> str:
    """Return what to do about a refusal for this reason; "" where nothing is known."""
    return _ADVICE.get(code, "") if is_chinese(language) else ADVICE.get(code, "")


def sentence(code: str, values: Mapping[str, Any], message: str, language: str | None) -> str:
    """Return the sentence of a need. `message` is the English one, for other languages and unknown needs."""
    cause = str(values.get("reason") or "")
    if not is_chinese(language) or code not in SENTENCES:
        return message.replace(f"({cause})", f"({reason(cause, language)})") if cause else message
    shown = {**values, "reason": reason(cause, language), "advice": advice(cause, language)}
    shown["period"] = _PERIODS.get(values.get("period", ""), "")
    of_key = f"{values['key_name']} 的 " if values.get("key_name") else ""
    shown["limit"] = f"（{of_key}{values['refused_by']}）" if values.get("refused_by") else ""
    if isinstance(at := values.get("until"), int | float):
        shown["until"] = datetime.fromtimestamp(min(at, 4e9), UTC).strftime("%Y-%m-%d %H:%M UTC")
    return SENTENCES[code].format_map(shown)
