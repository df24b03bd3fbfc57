"""How conversations are written: the special tokens of a form, and its template. Each begins as any longer talk begins.

ChatML (OpenAI 2023), and the forms of Llama 3 (Meta 2024) and Zephyr (Tunstall et al. 2023). That the beginning of a
conversation renders as the beginning of the conversation is what lets `sft` find the assistant's words.
"""

from __future__ import annotations

from dataclasses import dataclass

PAD = "<|pad|>"


@dataclass(frozen=True, slots=True)
class ChatForm:
    begin: str
    """Begins a document."""
    end: str
    """Ends a document and a turn, so that a model from `pretrain` has met the end before it learns to answer."""
    marks: tuple[str, ...]
    template: str

    @property
    def special(self) -> list[str]:
        """In the order of their ids."""
        return [PAD, self.begin, *self.marks, self.end]


FORMS = {
    "chatml": ChatForm(
        begin="<|begin|>", end="<|im_end|>", marks=("<|im_start|>",),
        template=(
            "{% for message in messages %}"
            "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
    ),
    "llama3": ChatForm(
        begin="<|begin_of_text|>", end="<|eot_id|>", marks=("<|start_header_id|>", "<|end_header_id|>"),
        template=(
            "{{ '<|begin_of_text|>' }}{% for message in messages %}"
            "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + '<|eot_id|>' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
        ),
    ),
    "zephyr": ChatForm(
        begin="<s>", end="</s>", marks=("<|system|>", "<|user|>", "<|assistant|>"),
        template=(
            "{% for message in messages %}"
            "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '</s>' + '\\n' }}"
            "{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
        ),
    ),
}  # fmt: skip
