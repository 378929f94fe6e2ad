# AWS. The image must carry the AWS CLI, as the Deep Learning AMIs and Amazon Linux do.
GRACE=110 # of the two minutes between the notice and the end
NAP=$PAUSE
M=http://169.254.169.254
CLOUD_ENV=("AWS_REGION=$REGION" "AWS_DEFAULT_REGION=$REGION")

# Version 2 of the metadata service only: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
meta() {
  local t
  t=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$M/latest/api/token") || return 1
  printf 'X-aws-ec2-metadata-token: %s\n' "$t" | curl -fsS -m 5 -H @- "$M/latest/meta-data/$1"
}

# Tags show in the metadata where the launch template says instance_metadata_tags=enabled:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
facts() {
  MACHINE=$(meta instance-id) || return 1
  RUN=$(meta tags/instance/skylift-run 2>/dev/null)
  END=$(meta tags/instance/skylift-end 2>/dev/null)
  ID=$MACHINE PLACE='' GROUP=''
}

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
sign_in() {
  aws ecr get-login-password --region "$REGION" | docker login -u AWS --password-stdin "$REGISTRY"
}

put() {
  aws s3 cp --only-show-errors --region "$REGION" "$2" "$WORK/$1"
}

secret() {
  aws secretsmanager get-secret-value --region "$REGION" --secret-id "$TLS" --query SecretString --output text
}

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
# A rebalance recommendation only says that the risk has grown: it is handed on, and the machine keeps working.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
notice() {
  meta spot/instance-action 2>/dev/null && return
  if [ ! -s "$STATE/rebalance" ] && meta events/recommendations/rebalance >"$STATE/rebalance" 2>/dev/null; then
    say "a rebalance is recommended: $(cat "$STATE/rebalance")" >&2
  fi
  return 1
}

acknowledge() { :; }
collect() { :; }

# https://docs.docker.com/engine/logging/drivers/awslogs/
log_options() {
  logs=(--log-driver awslogs --log-opt "awslogs-region=$REGION" --log-opt "awslogs-group=$LOGS"
    --log-opt "awslogs-stream=$1/${RUN:-$ENDPOINT}/$MACHINE")
}

# For one line there is no agent: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
tell() {
  [ -n "$LOGS" ] || return
  local to=(--region "$REGION" --log-group-name "$LOGS" --log-stream-name "gpu/$RUN/$MACHINE")
  [ -e "$STATE/stream" ] || aws logs create-log-stream "${to[@]}" && : >"$STATE/stream"
  aws logs put-log-events "${to[@]}" --log-events "$(printf '[{"timestamp":%s000,"message":"%s"}]' "$(date +%s)" \
    "${1//\"/\\\"}")" >/dev/null
} 2>/dev/null

# Without the decrement the group would start another machine for this one:
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_TerminateInstanceInAutoScalingGroup.html
remove() {
  aws autoscaling terminate-instance-in-auto-scaling-group --region "$REGION" --instance-id "$ID" \
    --should-decrement-desired-capacity || aws ec2 terminate-instances --region "$REGION" --instance-ids "$ID"
}
