__all__ = ['AnthropicMessages', 'Billing', 'ComponentHealth', 'ContentPart', 'CreatedSpan', 'CreatedWebhook', 'DeliveryStatus', 'EventType', 'Execution', 'ExecutionStats', 'ExecutionStatus', 'GroupBy', 'Health', 'HealthStatus', 'ImageURL', 'Invoice', 'LiveMessage', 'LiveMessageParam', 'LivePrompt', 'LiveVersion', 'MessagePlaceholder', 'Model', 'Pagination', 'Prompt', 'PromptVariable', 'PromptVariableParam', 'RecordedTrace', 'RequestWindow', 'SpanStatus', 'SpanType', 'Team', 'TeamMember', 'TeamRole', 'Template', 'TemplateFork', 'TokenUsage', 'Trace', 'TraceAnalytics', 'TraceEvaluation', 'TraceSpan', 'TraceStatus', 'TypedExecution', 'Usage', 'UsageRecord', 'VariableType', 'Visibility', 'Webhook', 'WebhookDelivery', 'WebhookSecret', 'Workflow', 'WorkflowExecution', 'WorkflowStatus', 'WorkflowStep', 'WorkflowStepParam', 'WorkflowStepResult']
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
    image_url: NotRequired[ImageURL | str]
    text: NotRequired[str]
    type: Required[str]
class CreatedSpan(Model):
    span_id: str
    trace_id: str | None
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
class RecordedTrace(Model):
    trace_id: str
class RequestWindow(Model):
    limit: int | None
    remaining: int | None
    reset: float | None
SpanStatus = Literal['RUNNING', 'SUCCESS', 'ERROR']
SpanType = Literal['LLM', 'RETRIEVAL', 'TOOL', 'CHAIN', 'EMBEDDING', 'AGENT']
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
class Trace(Model):
    cost: float | None
    created_at: DateTime | None
    environment: str | None
    error_code: str | None
    error_message: str | None
    evaluations: Many[TraceEvaluation] | None
    finish_reason: str | None
    id: str
    input: str | None
    input_tokens: int | None
    latency_ms: float | None
    max_tokens: int | None
    metadata: Mapped[Any] | None
    model: str | None
    output: str | None
    output_tokens: int | None
    prompt_id: str | None
    provider: str | None
    session_id: str | None
    spans: Many[TraceSpan] | None
    status: Open[TraceStatus] | None
    system_prompt: str | None
    temperature: float | None
    top_p: float | None
    total_tokens: int | None
    user_id: str | None
class TraceAnalytics(Model):
    avg_latency: float | None
    by_provider: Mapped[Any] | None
    period: Mapped[Any] | None
    status_counts: Mapped[int] | None
    total_cost: float | None
    total_tokens: int | None
    total_traces: int | None
class TraceEvaluation(Model):
    created_at: DateTime | None
    evaluation_type: str | None
    evaluator_name: str | None
    evaluator_type: str | None
    id: str
    passed: bool | None
    reasoning: str | None
    score: float | None
    threshold: float | None
    trace_id: str | None
class TraceSpan(Model):
    cost: float | None
    duration_ms: float | None
    end_time: DateTime | None
    error_message: str | None
    id: str
    input: Any
    metadata: Mapped[Any] | None
    name: str | None
    output: Any
    parent_span_id: str | None
    span_type: Open[SpanType] | None
    start_time: DateTime | None
    status: Open[SpanStatus] | None
    tokens: int | None
    trace_id: str | None
TraceStatus = Literal['SUCCESS', 'ERROR', 'TIMEOUT', 'RATE_LIMITED', 'CONTENT_FILTERED']
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
