__all__ = ['AnthropicMessages', 'Billing', 'ComponentHealth', 'ContentPart', 'CreatedWebhook', 'DeliveryStatus', 'EventType', 'Execution', 'ExecutionStats', 'ExecutionStatus', 'GroupBy', 'Health', 'HealthStatus', 'ImageURL', 'Invoice', 'LiveMessage', 'LiveMessageParam', 'LivePrompt', 'LiveVersion', 'MessagePlaceholder', 'Model', 'Pagination', 'Prompt', 'PromptVariable', 'PromptVariableParam', 'RequestWindow', 'Team', 'TeamMember', 'TeamRole', 'Template', 'TemplateFork', 'TokenUsage', 'TypedExecution', 'Usage', 'UsageRecord', 'VariableType', 'Visibility', 'Webhook', 'WebhookDelivery', 'WebhookSecret', 'Workflow', 'WorkflowExecution', 'WorkflowStatus', 'WorkflowStep', 'WorkflowStepParam', 'WorkflowStepResult']
class AnthropicMessages(TypedDict):
    messages: Required[list[MessageParam]]
    system: str | Iterable[TextBlockParam]
class Billing(Model):
    amount: float | None
    cancel_at_period_end: bool | None
    currency: str | None
    current_period_end: DateTime | None
    current_period_start: DateTime | None
    plan: str | None
    status: str | None
class ComponentHealth(Model):
    latency_ms: float | None
    message: str | None
    status: Open[HealthStatus] | None
class ContentPart(TypedDict):
    __pydantic_config__ = ConfigDict(extra='allow')
    image_url: NotRequired[ImageURL | str]
    text: NotRequired[str]
    type: Required[str]
class CreatedWebhook(Webhook):
    secret: str
DeliveryStatus = Literal['PENDING', 'DELIVERED', 'FAILED', 'RETRYING']
EventType = Literal['prompt.executed', 'workflow.completed', 'workflow.failed', 'team.member_added', 'team.member_removed']
class Execution(Model):
    cost: float | None
    created_at: DateTime | None
    error: Any
    id: str
    latency: float | None
    model: str | None
    output: str | None
    prompt_id: str | None
    provider: str | None
    status: Open[ExecutionStatus] | None
    tokens: int | None
    variables: Mapped[Any]
class ExecutionStats(Model):
    cost: float | None
    date: Date | None
    executions: int | None
    key: str | None
    tokens: int | None
ExecutionStatus = Literal['completed', 'failed']
GroupBy = Literal['day', 'prompt', 'model']
class Health(Model):
    components: Mapped[ComponentHealth]
    status: Open[HealthStatus] | None
    timestamp: DateTime | None
    uptime_seconds: float | None
    version: str | None
HealthStatus = Literal['healthy', 'degraded', 'unhealthy']
class ImageURL(TypedDict):
    __pydantic_config__ = ConfigDict(extra='allow')
    detail: NotRequired[str]
    url: Required[str]
class Invoice(Model):
    amount: float | None
    created_at: DateTime | None
    currency: str | None
    id: str
    number: str | None
    period_end: DateTime | None
    period_start: DateTime | None
    status: str | None
class LiveMessage(Model):
    content: str | list[ContentPart]
    role: str
class LiveMessageParam(TypedDict):
    content: str | list[ContentPart]
    role: str
class LivePrompt(Model):
    age: float
    content: str | None
    error: EnpromptaError | None
    id: str
    is_fallback: bool
    is_stale: bool
    label: str | None
    messages: list[SerializeAsAny[LiveMessage]] | None
    name: str | None
    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str | list[LiveMessage]: ...
    def render_messages(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[LiveMessage]: ...
    def render_text(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str: ...
    slug: str | None
    def to_anthropic(self, values: Mapping[str, object] | None = None, /, **variables: object) -> AnthropicMessages: ...
    def to_langchain(self) -> list[tuple[str, str | list[Any]]]: ...
    def to_openai(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[ChatCompletionMessageParam]: ...
    variables: Mapped[Any]
    version: LiveVersion | None
    def with_cache_info(self, serving: CacheInfo) -> Self: ...
class LiveVersion(Model):
    environment: str | None
    id: str | None
    number: int | str | None
class MessagePlaceholder(LiveMessage):
    content: str | list[ContentPart]
    name: str
    optional: bool | None
    role: str
class Model(BaseModel):
    def __str__(self) -> str: ...
    model_config: ConfigDict
class Pagination(Model):
    has_more: bool | None
    limit: int | None
    next_cursor: str | None
    previous_cursor: str | None
    total_count: int | None
class Prompt(Model):
    category: str | None
    content: str
    created_at: DateTime | None
    description: str | None
    id: str
    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str: ...
    slug: str | None
    tags: Many[str]
    team_id: str | None
    title: str
    def to_anthropic(self, values: Mapping[str, object] | None = None, /, **variables: object) -> AnthropicMessages: ...
    def to_langchain(self) -> list[tuple[str, str | list[Any]]]: ...
    def to_openai(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[ChatCompletionMessageParam]: ...
    updated_at: DateTime | None
    usage_count: int | None
    variables: Many[PromptVariable]
    version: int | None
    visibility: Open[Visibility] | None
class PromptVariable(Model):
    default: Any
    description: str | None
    name: str
    options: Many[Any]
    required: bool | None
    type: Open[VariableType] | None
class PromptVariableParam(TypedDict):
    default: NotRequired[Any]
    description: NotRequired[str | None]
    name: Required[str]
    options: NotRequired[list[Any]]
    required: NotRequired[bool]
    type: NotRequired[VariableType | str]
class RequestWindow(Model):
    limit: int | None
    remaining: int | None
    reset: float | None
class Team(Model):
    created_at: DateTime | None
    description: str | None
    id: str
    member_count: int | None
    name: str
    owner_id: str | None
    updated_at: DateTime | None
class TeamMember(Model):
    email: str | None
    id: str | None
    joined_at: DateTime | None
    name: str | None
    role: Open[TeamRole] | None
    user_id: str
TeamRole = Literal['OWNER', 'ADMIN', 'MEMBER', 'VIEWER']
class Template(Model):
    category: str | None
    content: str
    created_at: DateTime | None
    description: str | None
    id: str
    def render(self, values: Mapping[str, object] | None = None, /, **variables: object) -> str: ...
    tags: Many[str]
    title: str
    def to_anthropic(self, values: Mapping[str, object] | None = None, /, **variables: object) -> AnthropicMessages: ...
    def to_langchain(self) -> list[tuple[str, str | list[Any]]]: ...
    def to_openai(self, values: Mapping[str, object] | None = None, /, **variables: object) -> list[ChatCompletionMessageParam]: ...
    usage_count: int | None
    variables: Many[PromptVariable]
class TemplateFork(Model):
    prompt_id: str
class TokenUsage(Model):
    limit: int | None
    remaining: int | None
    used: int | None
class TypedExecution(Execution, Generic[T]):
    credits: int
    executions: tuple[Execution, ...]
    output_error: OutputError | None
    parsed: T
    total_cost: float | None
    total_tokens: int | None
class Usage(Model):
    cost: float | None
    executions: int | None
    period_end: DateTime | None
    period_start: DateTime | None
    plan: str | None
    requests_per_day: RequestWindow | None
    requests_per_minute: RequestWindow | None
    tokens: TokenUsage | None
class UsageRecord(Model):
    cost: float | None
    date: Date | None
    executions: int | None
    key: str | None
    requests: int | None
    tokens: int | None
VariableType = Literal['text', 'number', 'boolean', 'select']
Visibility = Literal['PRIVATE', 'TEAM', 'PUBLIC']
class Webhook(Model):
    created_at: DateTime | None
    description: str | None
    events: Many[Open[EventType]]
    failure_count: int | None
    id: str
    is_active: bool | None
    last_failure: DateTime | None
    last_success: DateTime | None
    name: str | None
    updated_at: DateTime | None
    url: str | None
class WebhookDelivery(Model):
    attempts: int | None
    created_at: DateTime | None
    delivered_at: DateTime | None
    event_id: str | None
    event_type: Open[EventType] | None
    id: str
    latency_ms: float | None
    response_status: int | None
    status: Open[DeliveryStatus] | None
    webhook_id: str | None
class WebhookSecret(Model):
    secret: str
class Workflow(Model):
    created_at: DateTime | None
    description: str | None
    id: str
    name: str
    steps: Many[WorkflowStep]
    team_id: str | None
    updated_at: DateTime | None
class WorkflowExecution(Model):
    completed_at: DateTime | None
    cost: float | None
    created_at: DateTime | None
    error: Any
    failed_step: WorkflowStepResult | None
    id: str
    input: Mapped[Any]
    is_finished: bool
    output: Any
    started_at: DateTime | None
    status: Open[WorkflowStatus] | None
    steps: Many[WorkflowStepResult]
    tokens: int | None
    workflow_id: str | None
WorkflowStatus = Literal['pending', 'running', 'completed', 'failed', 'cancelled']
class WorkflowStep(Model):
    depends_on: Many[str]
    id: str
    model: str | None
    options: Mapped[Any]
    prompt_id: str
    provider: str | None
    variables: Mapped[Any]
class WorkflowStepParam(TypedDict):
    depends_on: NotRequired[list[str]]
    id: Required[str]
    model: NotRequired[str]
    options: NotRequired[dict[str, Any]]
    prompt_id: Required[str]
    provider: NotRequired[str]
    variables: NotRequired[dict[str, Any]]
class WorkflowStepResult(Model):
    cost: float | None
    error: Any
    execution_id: str | None
    output: str | None
    status: Open[WorkflowStatus] | None
    step_id: str
    tokens: int | None
