"""Treatments of fields that were not honoured, in Chinese, by the text of their policy."""

from gateway.console.needs_zh import is_chinese

TEXTS = {
    # ignored
    "Gemini applies its own safety settings": "Gemini 使用自己的安全设置",
    "Gemini caches implicitly": "Gemini 自动缓存",
    "Gemini caches implicitly; `google.cached_content` names explicit content":
        "Gemini 自动缓存；显式内容用 `google.cached_content` 指定",
    "Gemini decides by itself": "由 Gemini 自行决定",
    "Gemini finds the pauses itself": "Gemini 自行识别停顿",
    "Gemini has no end-user id": "Gemini 没有终端用户标识",
    "Gemini has no such field": "Gemini 没有此字段",
    "Gemini truncates nothing": "Gemini 不截断任何内容",
    "`safety` of the configuration, or `google.safety_settings`": "使用配置中的 `safety`，或 `google.safety_settings`",
    "a latency hint without a counterpart": "延迟提示，没有对应项",
    "no counterpart": "没有对应项",
    "nothing is stored": "不存储任何内容",
    "the default tier answers": "由默认等级应答",
    "the plugin's own `model` is asked": "使用插件自己的 `model`",
    # dropped
    "Gemini does not match voices": "Gemini 不匹配声音",
    "Gemini does not match voices: speakers are A, B, C": "Gemini 不匹配声音：说话人记为 A、B、C",
    "Gemini gives no probabilities of a transcript": "Gemini 不给出转写的概率",
    "Gemini has no counterpart": "Gemini 没有对应项",
    "Gemini's pictures have no transparent background": "Gemini 的图片没有透明背景",
    "a 400 `unsupported_value`: Gemini makes no such pictures": "返回 400 `unsupported_value`：Gemini 不生成这类图片",
    "a 400 in both modes: conversations are kept by OpenAI": "两种模式下均为 400：会话由 OpenAI 保存",
    "a 400 in both modes: prompt templates are kept by OpenAI": "两种模式下均为 400：提示模板由 OpenAI 保存",
    "say the style in the prompt": "请在提示词中说明风格",
    "the legacy shape is not written; chat returns log probabilities": "不输出旧格式；聊天接口会返回对数概率",
    # clamped
    "0 to 3, of which none comes: Gemini shows no pictures that are not finished; a note":
        "0 到 3，但不会返回：Gemini 不显示未完成的图片，会注明",
    "`effort` as in chat; a `summary` asks for thought summaries": "`effort` 与聊天相同；`summary` 请求思考摘要",
    "`imageConfig`: the nearest shape and tier that the model has; a note where the shape is another one. The answer's "
    "`size` is that of the picture":
        "`imageConfig`：取模型支持的最接近的形状与等级，形状不同时注明；回答中的 `size` 为图片的实际尺寸",
    "`maxOutputTokens`, at most what the model writes": "`maxOutputTokens`，不超过模型的上限",
    "`maxOutputTokens`; OpenAI's default of 16 is not applied": "`maxOutputTokens`；不采用 OpenAI 的默认值 16",
    "`maxOutputTokens`; required": "`maxOutputTokens`；必填",
    "`maxOutputTokens`; wins over `max_tokens`": "`maxOutputTokens`；优先于 `max_tokens`",
    "`seed`; beyond 32 bits it is folded, always the same way": "`seed`；超过 32 位时以固定方式折叠",
    "`temperature`; image models take at most 1": "`temperature`；图片模型最大为 1",
    "`thinkingConfig`: a level, or a budget on 2.5, the nearest there is":
        "`thinkingConfig`：等级，或 2.5 上的预算，取最接近的",
    "a budget, or a level, as the model has it; thoughts are shown": "按模型取预算或等级；显示思考内容",
    "as in chat": "与聊天相同",
    "the same number": "数值相同",
    "without a size: `high`, `hd` are 2K, `xhigh`, `max` are 4K, others leave the tier to the model; beside a size it "
    "is not used, with a note":
        "没有尺寸时：`high`、`hd` 为 2K，`xhigh`、`max` 为 4K，其余由模型决定；有尺寸时不使用，会注明",
    # mapped or emulated, with a note where a model cannot
    "where the model takes one": "仅在模型支持时生效",
    "`frequencyPenalty`, where the model takes one; 2 becomes 1.99": "`frequencyPenalty`，仅在模型支持时；2 变为 1.99",
    "`presencePenalty`, where the model takes one; 2 becomes 1.99": "`presencePenalty`，仅在模型支持时；2 变为 1.99",
    "`responseLogprobs` and `logprobs`, where the model gives them": "`responseLogprobs` 与 `logprobs`，仅在模型提供时",
    "`responseLogprobs`, where the model gives them": "`responseLogprobs`，仅在模型提供时",
    "`stopSequences`; the gateway cuts at those after the fifth, 64 at most":
        "`stopSequences`；第五个之后的由网关截断，最多 64 个",
    "`stopSequences`; the gateway cuts at those after the fifth, 64 at most, and names only these in the answer":
        "`stopSequences`；第五个之后的由网关截断，最多 64 个，回答中只列出这些",
    "`serviceTier`: flex, priority; others are the default": "`serviceTier`：flex、priority；其余为默认",
    "`topK`": "`topK`",
    "`topP`": "`topP`",
    "false keeps the first call of an answer": "为 false 时只保留回答中的第一个调用",
    "`format` as in chat; the verbosity has no counterpart and is noted":
        "`format` 与聊天相同；verbosity 没有对应项，会注明",
    "`contents` and `systemInstruction`; calls and results are put in Gemini's order, missing results made up, broken "
    "arguments wrapped, each with a note":
        "`contents` 与 `systemInstruction`；调用与结果按 Gemini 的顺序排列，补上缺失的结果，包装损坏的参数，均会注明",
    "`contents`: messages, calls, outputs, reasoning, stored items; items of hosted tools are left out":
        "`contents`：消息、调用、输出、推理、已存条目；托管工具的条目被略去",
    "`contents`: text, images, documents, tool use and results; thoughts are left out":
        "`contents`：文本、图片、文档、工具调用与结果；思考内容被略去",
    "`functionCallingConfig`: AUTO, NONE, ANY, VALIDATED (also by that name), with `allowed_tools`":
        "`functionCallingConfig`：AUTO、NONE、ANY、VALIDATED（亦可用此名称），支持 `allowed_tools`",
    "functions, custom tools (as functions of one text), Gemini's built-in tools":
        "函数、自定义工具（作为单一文本的函数）、Gemini 内置工具",
    "functions, custom tools, namespaces, client-run tools, web search (its location and domains in words), code "
    "interpreter; others are left out with a note":
        "函数、自定义工具、命名空间、客户端工具、网页搜索（地点与域名以文字表达）、代码解释器；其余略去并注明",
    "functions; web search, web fetch and code execution as Gemini's own; others are left out with a note":
        "函数；网页搜索、网页抓取与代码执行使用 Gemini 自带的；其余略去并注明",
    "the Google Search tool; the location in words, the context size noted":
        "使用 Google 搜索工具；地点以文字表达，上下文大小会注明",
    "JSON mode with `responseJsonSchema`; asked for in words beside tools on 2.x and on models without JSON mode":
        "用 `responseJsonSchema` 的 JSON 模式；在 2.x 上与工具并用时、或模型没有 JSON 模式时，以文字要求",
    "`include_usage`; obfuscation is optional in the protocol and left out":
        "`include_usage`；混淆在协议中可选，予以略去",
}  # fmt: skip
"""A field that is ignored, dropped or clamped needs its line here; of others, those that are often noted have one."""


def in_language(text: str, language: str | None) -> str:
    """Return what becomes of a field for a browser's `Accept-Language`; an unknown text stays as it is."""
    return TEXTS.get(text, text) if is_chinese(language) else text
