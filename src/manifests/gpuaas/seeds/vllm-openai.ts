/** The curated model server that every control plane begins with, the first profile that is a stack. */

/** Where it stands in the catalog of a new control plane. */
export const vllmOpenai = {
  slug: 'vllm-openai',
  version: '2026.11',
  category: 'inference',
  format: 'yaml',
  source: `profile:
  kind: gpuaas.launchable_oci_workload
  schema_version: v1
  slug: vllm-openai
  display_name: vLLM
  description: A language model behind an OpenAI-compatible endpoint, on the cards of an existing allocation.
  support_level: platform_curated
  launch_mode: existing_allocation

artifacts:
  primary_image:
    source: platform_registry
    artifact_name: vllm-openai-cuda
    digest_required: true
    media_type: application/vnd.oci.image.manifest.v1+json
  nvidia_cuda_image:
    source: platform_registry
    artifact_name: vllm-openai-cuda
    digest_required: true
    media_type: application/vnd.oci.image.manifest.v1+json
  amd_rocm_image:
    source: platform_registry
    artifact_name: vllm-openai-rocm
    digest_required: true
    media_type: application/vnd.oci.image.manifest.v1+json

parameters:
  schema:
    type: object
    required: [workspace_mount, exposure_mode]
    properties:
      model:
        type: string
        title: Model
        description: A model of the hub. Some ask for a token of an account that has accepted their licence.
        enum:
          - mistralai/Mistral-Small-3.2-24B-Instruct-2506
          - Qwen/Qwen2.5-7B-Instruct
          - Qwen/Qwen2.5-72B-Instruct
          - meta-llama/Llama-3.1-8B-Instruct
        default: mistralai/Mistral-Small-3.2-24B-Instruct-2506
      model_path:
        type: string
        title: Folder of a model
        description: Below the workspace, for example models/my-model. It is served in place of a model of the hub.
        default: ""
        maxLength: 512
      served_model_name:
        type: string
        title: Served as
        description: Name that requests use; empty for the name of the model.
        default: ""
        maxLength: 128
      max_model_len:
        type: integer
        title: Longest context
        description: In tokens, question and answer together; 0 for what the model allows. More takes more memory.
        minimum: 0
        maximum: 10485760
        default: 0
      max_num_seqs:
        type: integer
        title: Requests at a time
        minimum: 1
        maximum: 4096
        default: 256
      dtype:
        type: string
        title: Number format
        enum: [auto, bfloat16, float16, float32]
        default: auto
      quantization:
        type: string
        title: Quantization
        description: none takes the model as it is, with the quantization of its own files.
        enum: [none, awq, gptq, fp8, bitsandbytes]
        default: none
      gpu_count:
        type: integer
        minimum: 1
        maximum: 64
        default: 1
      tensor_parallel_size:
        type: integer
        title: Cards that share the model
        description: At most the cards of the launch, which is also what it is where nothing is said.
        minimum: 1
        maximum: 64
      gpu_memory_utilization:
        type: number
        title: Share of card memory
        minimum: 0.1
        maximum: 0.98
        default: 0.9
      cpu_cores:
        type: integer
        minimum: 1
        default: 8
      memory_gib:
        type: integer
        minimum: 1
        default: 64
      shm_gib:
        type: number
        title: Shared memory (GiB)
        description: Cards that share a model talk through it. It is a part of the memory.
        minimum: 1
        maximum: 1024
        default: 16
      start_timeout_seconds:
        type: integer
        title: Time to start (seconds)
        description: A large model takes a quarter of an hour, and the first start also downloads it.
        minimum: 60
        maximum: 7200
        default: 3600
      workspace_mount:
        type: string
        enum: [scratch, project_storage]
        default: scratch
      exposure_mode:
        type: string
        enum: [private]
        default: private
      host_port:
        type: integer
        minimum: 1024
        maximum: 65535
        default: 8000
  secrets:
    - name: hub_token
      title: Hub token
      description: Token of a Hugging Face account, for models that ask for one. A token that can only read is enough.
      file_env: HF_TOKEN_PATH
  ui:
    order:
      - model
      - model_path
      - served_model_name
      - max_model_len
      - max_num_seqs
      - dtype
      - quantization
      - gpu_count
      - tensor_parallel_size
      - gpu_memory_utilization
      - cpu_cores
      - memory_gib
      - shm_gib
      - start_timeout_seconds
      - workspace_mount
      - exposure_mode
      - host_port
    groups:
      - id: model
        title: Model
        fields: [model, model_path, served_model_name, max_model_len, max_num_seqs, dtype, quantization]
      - id: resources
        title: Resources
        fields: [gpu_count, tensor_parallel_size, gpu_memory_utilization, cpu_cores, memory_gib, shm_gib]
      - id: workspace
        title: Workspace
        fields: [workspace_mount, start_timeout_seconds]
      - id: access
        title: Access
        fields: [exposure_mode, host_port]
    launch_wizard:
      steps:
        - id: target
          title: Target
          description: Choose the active allocation whose cards will serve the model.
          components:
            - kind: platform.target_allocation
              required: true
        - id: model
          title: Model
          description: Choose the image of the server, and what it serves.
          components:
            - kind: platform.artifact_selector
              required: true
            - kind: field
              name: model
              required: false
            - kind: field
              name: model_path
              required: false
            - kind: field
              name: served_model_name
              required: false
            - kind: field
              name: max_model_len
              required: false
            - kind: field
              name: max_num_seqs
              required: false
            - kind: field
              name: dtype
              required: false
            - kind: field
              name: quantization
              required: false
        - id: resources
          title: Resources
          description: Size the server for the model.
          components:
            - kind: field
              name: gpu_count
              required: true
            - kind: field
              name: tensor_parallel_size
              required: false
            - kind: field
              name: gpu_memory_utilization
              required: true
            - kind: field
              name: cpu_cores
              required: true
            - kind: field
              name: memory_gib
              required: true
            - kind: field
              name: shm_gib
              required: true
            - kind: field
              name: start_timeout_seconds
              required: true
        - id: storage
          title: Storage
          description: Models and caches are kept in the workspace. Project storage keeps them for the next instance.
          components:
            - kind: field
              name: workspace_mount
              required: true
        - id: access
          title: Access
          components:
            - kind: field
              name: exposure_mode
              required: true
            - kind: field
              name: host_port
              required: true
        - id: review
          title: Review
          components:
            - kind: platform.review
              required: true

resources:
  gpu:
    min_count: 1
    default_count: 1
    placement: allocation_local
  cpu:
    min_cores: 2
  memory:
    min_gib: 8

storage:
  mounts:
    - name: workspace
      path: /workspace
      required: true
      modes: [scratch, project_storage]

network:
  endpoints:
    - name: openai
      port: 8000
      protocol: http
      exposure_modes: [private, platform_proxy]
      auth:
        mode: generated_token
        token_env: VLLM_API_KEY

execution:
  default_engine: docker_compose
  supported_engines:
    - engine: docker_compose
      adapter: compose_v2
      status: active
    - engine: helm
      adapter: helm_values
      status: future
  compose:
    renderer: vllm_openai
    topology:
      description: Single-node OpenAI-compatible inference endpoint.
      services:
        - name: vllm
          role: openai_server
          endpoints: [openai]
          mounts: [workspace]
          secrets: [hub_token]

outputs:
  endpoints:
    - name: openai
      source: network.endpoints.openai
  commands:
    - name: inspect
      command: gpuaas apps instances describe

validation:
  readiness:
    - name: engine_alive
      type: http
      endpoint: openai
      path: /health
    - name: model_served
      type: http
      endpoint: openai
      path: /v1/models
      bearer_env: VLLM_API_KEY
  smoke:
    - name: stack_running
      type: adapter_status
      status: running
`,
} as const;
