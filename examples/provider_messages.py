"""One prompt for three packages: messages for OpenAI, Anthropic and LangChain.

None of these packages is needed; pass the results to their clients. The example starts and stops an emulator.
"""

import json

from enprompta import Enprompta
from enprompta.emulator import Emulator
from enprompta.models import LivePrompt

CONVERSATION = {
    "id": "pmt_1",
    "slug": "describe",
    "messages": [
        {"role": "system", "content": 'Answer as {"text": …}, in {{style}} style.'},
        {"type": "placeholder", "name": "history"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on {{user.name}}'s photo?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/{{photo}}"}},
            ],
        },
    ],
}


def show(name: str, value: object) -> None:
    """Print a value as JSON."""
    print(f"{name}: {json.dumps(value, ensure_ascii=False)}")


def main() -> None:
    """Convert a text prompt and a conversation."""
    with Emulator() as emulator, Enprompta(api_key=emulator.keys.pro, base_url=emulator.url) as client:
        client.prompts.create(title="Joke", content='A joke about {{topic}}, as {"joke": …}')
        live = client.prompts.get_live("joke")
        show("openai", live.to_openai(topic="tea {"))
        show("anthropic", live.to_anthropic(topic="tea {"))
        show("langchain", live.to_langchain())

    conversation = LivePrompt.model_validate(CONVERSATION)
    history = [{"role": "user", "content": "Hi {{there}}"}, {"role": "assistant", "content": "Hello"}]
    values = {"style": "plain", "user.name": "Ada", "photo": "cat.png", "history": history}
    show("openai", conversation.to_openai(values))
    show("anthropic", conversation.to_anthropic(values))
    show("langchain", conversation.to_langchain())


if __name__ == "__main__":
    main()
