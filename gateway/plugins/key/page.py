"""The page `/usage`: a key is typed in, and its rules, limits, budgets and use are shown.

The key goes into one request of `GET /v1/key`. The page keeps it nowhere: no address, cookie or storage has it.
"""

import json
from pathlib import Path

from aiohttp import web

from gateway.exchange.replies.web_page import WebPage

_FILES = Path(__file__).parent
_FRAME = WebPage(
    _FILES.joinpath("page.css").read_text("utf-8"), _FILES.joinpath("page.js").read_text("utf-8")
)

TEXTS = {
    "en": {
        "title": "Usage", "hint": "What your key may do, has used and has left. The key stays on this page.",
        "key": "API key", "show": "Show", "asking": "Asking…",
        "rules": "Rules", "name": "Name", "state": "State", "expires": "Expires",
        "models": "Models", "aliases": "Aliases", "streams": "At once", "cache": "Cache (seconds)",
        "limits": "Limits", "limit": "Limit", "left": "Left", "of": "Of", "bar": "Share used", "resets": "Resets",
        "requests": "Requests", "tokens": "Tokens", "minute": "minute", "hour": "hour", "day": "day",
        "budgets": "Budgets", "budget": "Budget", "spent": "Spent", "dollars": "Dollars", "month": "month",
        "total": "in total",
        "usage": "Use by day (UTC) and model", "date": "Day", "model": "Model", "calls": "Calls",
        "input": "Input tokens",
        "output": "Output tokens", "unused": "This key has not been used yet.",
    },
    "zh": {
        "title": "用量", "hint": "查看密钥的权限、用量和余额。密钥只保留在本页面中。",
        "key": "API 密钥", "show": "查看", "asking": "查询中…",
        "rules": "规则", "name": "名称", "state": "状态", "expires": "到期",
        "models": "模型", "aliases": "别名", "streams": "并发", "cache": "缓存（秒）",
        "limits": "限额", "limit": "限额", "left": "剩余", "of": "上限", "bar": "已用比例", "resets": "重置时间",
        "requests": "请求", "tokens": "Token", "minute": "分钟", "hour": "小时", "day": "天",
        "budgets": "预算", "budget": "预算", "spent": "已用", "dollars": "美元", "month": "月",
        "total": "总计",
        "usage": "按天（UTC）和模型统计的用量", "date": "日期", "model": "模型", "calls": "调用次数",
        "input": "输入 Token",
        "output": "输出 Token", "unused": "该密钥尚未使用。",
    },
}  # fmt: skip
"""Texts of the page by language."""


def page(lang: str) -> web.Response:
    """Return the page."""
    texts = TEXTS[lang]
    return _FRAME.response(
        lang,
        texts["title"],
        f"""<h1>{texts["title"]}</h1>
<p class="soft">{texts["hint"]}</p>
<form>
<label for="key">{texts["key"]}</label>
<div class="row"><input id="key" type="password" required autocomplete="off" spellcheck="false" maxlength="400">
<button>{texts["show"]}</button></div>
</form>
<p id="state" class="soft" role="status"></p>
<div id="report"></div>
<script type="application/json" id="words">{json.dumps(texts, ensure_ascii=False)}</script>""",
    )
