/** Duty: the forms in which AWS names its hosts, by partition and by service: signing name and region, or nobody's API. */
import { describe, expect, it } from 'vitest';
import { awsHostOf } from '../../../../src/injection/sigv4/aws-hosts.ts';
import { awsHostOf as policyHostOf } from '../../../../src/policy/aws-host.ts';

const FORMS = `
  bedrock-agent.us-east-1.amazonaws.com bedrock/us-east-1
  bedrock-agent-runtime.us-east-1.amazonaws.com bedrock/us-east-1
  bedrock-data-automation.us-east-1.amazonaws.com bedrock/us-east-1
  bedrock-data-automation-runtime.us-east-1.amazonaws.com bedrock/us-east-1
  bedrock-data-automation-runtime-fips.us-east-1.amazonaws.com bedrock/us-east-1
  bedrock-agentcore.us-east-1.amazonaws.com bedrock-agentcore/us-east-1
  gateway-1.gateway.bedrock-agentcore.us-east-1.amazonaws.com bedrock-agentcore/us-east-1
  featurestore-runtime.sagemaker.us-east-1.amazonaws.com sagemaker/us-east-1
  runtime-fips.sagemaker.us-east-1.amazonaws.com sagemaker/us-east-1
  api-fips.sagemaker.us-east-1.amazonaws.com sagemaker/us-east-1
  data-ats.iot.us-east-1.amazonaws.com iotdata/us-east-1
  data.iot-fips.us-east-1.amazonaws.com iotdata/us-east-1
  runtime.lex.us-east-1.amazonaws.com lex/us-east-1
  models.lex.us-east-1.amazonaws.com lex/us-east-1
  runtime-v2-lex.us-east-1.amazonaws.com lex/us-east-1
  models-v2-lex.us-east-1.amazonaws.com lex/us-east-1
  query.timestream.us-east-1.amazonaws.com timestream/us-east-1
  ingest.timestream.us-east-1.amazonaws.com timestream/us-east-1
  query-cell2.timestream.us-east-1.amazonaws.com timestream/us-east-1
  ingest-cell3.timestream.us-east-1.amazonaws.com timestream/us-east-1
  metering.marketplace.us-east-1.amazonaws.com aws-marketplace/us-east-1
  entitlement.marketplace.us-east-1.amazonaws.com aws-marketplace/us-east-1
  catalog.marketplace.us-east-1.amazonaws.com aws-marketplace/us-east-1
  pinpoint.us-east-1.amazonaws.com mobiletargeting/us-east-1
  portal.sso.us-east-1.amazonaws.com awsssoportal/us-east-1
  api.pricing.us-east-1.amazonaws.com pricing/us-east-1
  memory-db.us-east-1.amazonaws.com memorydb/us-east-1
  memory-db-fips.us-west-1.amazonaws.com memorydb/us-west-1
  appstream2.us-east-1.amazonaws.com appstream/us-east-1
  appstream2-fips.us-east-1.amazonaws.com appstream/us-east-1
  cloudhsmv2.us-east-1.amazonaws.com cloudhsm/us-east-1
  aps-workspaces.us-east-1.amazonaws.com aps/us-east-1
  transcribestreaming.us-east-1.amazonaws.com transcribe/us-east-1
  transcribestreaming-fips.us-east-1.amazonaws.com transcribe/us-east-1
  fips.transcribe.us-east-1.amazonaws.com transcribe/us-east-1
  route53.amazonaws.com route53/us-east-1
  budgets.amazonaws.com budgets/us-east-1
  importexport.amazonaws.com importexport/us-east-1
  waf.amazonaws.com waf/us-east-1
  global.health.amazonaws.com health/us-east-1
  organizations.us-east-1.amazonaws.com organizations/us-east-1
  organizations.amazonaws.com organizations/us-east-1
  ce.us-east-1.amazonaws.com ce/us-east-1
  account.us-east-1.amazonaws.com account/us-east-1
  support.us-east-1.amazonaws.com support/us-east-1
  shield.us-east-1.amazonaws.com shield/us-east-1
  tax.us-east-1.amazonaws.com tax/us-east-1
  savingsplans.amazonaws.com savingsplans/us-east-1
  iam.us-gov.amazonaws.com iam/us-gov-west-1
  sts.us-gov-west-1.amazonaws.com sts/us-gov-west-1
  s3.us-gov-east-1.amazonaws.com s3/us-gov-east-1
  organizations.us-gov-west-1.amazonaws.com organizations/us-gov-west-1
  iam.cn-north-1.amazonaws.com.cn iam/cn-north-1
  iam.amazonaws.com.cn iam/cn-north-1
  cloudfront.cn-northwest-1.amazonaws.com.cn cloudfront/cn-northwest-1
  organizations.cn-northwest-1.amazonaws.com.cn organizations/cn-northwest-1
  s3.cn-north-1.amazonaws.com.cn s3/cn-north-1
  bkt.s3.cn-north-1.amazonaws.com.cn s3/cn-north-1
  bkt.s3.dualstack.cn-north-1.amazonaws.com.cn s3/cn-north-1
  lambda.cn-north-1.api.amazonwebservices.com.cn lambda/cn-north-1
  kms.eusc-de-east-1.api.amazonwebservices.eu kms/eusc-de-east-1
  iam.eusc-de-east-1.amazonaws.eu iam/eusc-de-east-1
  s3.eusc-de-east-1.amazonaws.eu s3/eusc-de-east-1
  s3.us-iso-east-1.c2s.ic.gov s3/us-iso-east-1
  iam.us-iso-east-1.c2s.ic.gov iam/us-iso-east-1
  iam.us-isob-east-1.sc2s.sgov.gov iam/us-isob-east-1
  s3.us-isob-east-1.sc2s.sgov.gov s3/us-isob-east-1
  s3.eu-isoe-west-1.cloud.adc-e.uk s3/eu-isoe-west-1
  s3.us-isof-south-1.csp.hci.ic.gov s3/us-isof-south-1
  bkt.s3.us-east-1.amazonaws.com s3/us-east-1
  bkt.s3-fips.us-east-1.amazonaws.com s3/us-east-1
  bkt.s3-fips.dualstack.us-gov-west-1.amazonaws.com s3/us-gov-west-1
  s3-us-west-2.amazonaws.com s3/us-west-2
  s3-fips-us-gov-west-1.amazonaws.com s3/us-gov-west-1
  bkt.s3-accelerate.amazonaws.com s3/*
  ap-123456789012.s3-accesspoint.dualstack.us-east-1.amazonaws.com s3/us-east-1
  ap-123456789012.s3-accesspoint-fips.us-east-1.amazonaws.com s3/us-east-1
  ap-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com s3/us-east-1
  ap-123456789012.op-01.s3-outposts.us-east-1.amazonaws.com s3-outposts/us-east-1
  s3-outposts.us-east-1.amazonaws.com s3-outposts/us-east-1
  s3-outposts-fips.us-east-1.amazonaws.com s3-outposts/us-east-1
  ap-123456789012.s3-object-lambda.us-east-1.amazonaws.com s3-object-lambda/us-east-1
  route.s3-object-lambda.us-east-1.amazonaws.com s3-object-lambda/us-east-1
  123456789012.s3-control-fips.us-east-1.amazonaws.com s3/us-east-1
  123456789012.s3-control.dualstack.us-east-1.amazonaws.com s3/us-east-1
  s3-control.us-east-1.amazonaws.com s3/us-east-1
  s3express-control.us-east-1.amazonaws.com s3express|s3/us-east-1
  s3express-control.dualstack.us-east-1.amazonaws.com s3express|s3/us-east-1
  b--use1-az4--x-s3.s3express-fips-use1-az4.us-east-1.amazonaws.com s3express|s3/us-east-1
  b--use1-az4--x-s3.s3express-use1-az4.dualstack.us-east-1.amazonaws.com s3express|s3/us-east-1
  s3tables.us-east-1.amazonaws.com s3tables/us-east-1
  s3vectors.us-east-1.api.aws s3vectors/us-east-1
  accesspoint.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com s3/us-east-1
  control.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com s3/us-east-1
  bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com s3/us-east-1
  vpce-1a2b-3c.execute-api.us-east-1.vpce.amazonaws.com execute-api/us-east-1
  vpce-1a2b-3c.api.ecr.us-east-1.vpce.amazonaws.com ecr/us-east-1
  vpce-1a2b-3c.bedrock-runtime.us-east-1.vpce.amazonaws.com bedrock/us-east-1
  vpce-1a2b-3c.bedrock-mantle.us-east-1.vpce.amazonaws.com bedrock-mantle/us-east-1
  vpce-1a2b-3c.email-smtp.us-east-1.vpce.amazonaws.com email-smtp/us-east-1
  vpce-1a2b.kms.cn-north-1.vpce.amazonaws.com.cn kms/cn-north-1
  id.execute-api.us-east-1.amazonaws.com execute-api/us-east-1
  id-vpce-1a2b.execute-api.us-east-1.amazonaws.com execute-api/us-east-1
  id.lambda-url.eu-west-1.on.aws lambda/eu-west-1
  search-dom-x.us-east-1.es.amazonaws.com es/us-east-1
  vpc-dom-x.us-east-1.es.amazonaws.com es/us-east-1
  search-dom-x.aos.us-east-1.on.aws es/us-east-1
  search-dom-x.cn-north-1.es.amazonaws.com.cn es/cn-north-1
  es.us-east-1.amazonaws.com es/us-east-1
  id.us-east-1.aoss.amazonaws.com aoss/us-east-1
  aoss.us-east-1.amazonaws.com aoss/us-east-1
  id.aoss.us-east-1.on.aws aoss/us-east-1
  123456789012.ddb.us-east-1.amazonaws.com dynamodb/us-east-1
  123456789012.ddb.us-gov-west-1.amazonaws.com dynamodb/us-gov-west-1
  dynamodb-fips.us-east-1.amazonaws.com dynamodb/us-east-1
  dynamodb.us-east-1.api.aws dynamodb/us-east-1
  dynamodb-fips.us-east-1.api.aws dynamodb/us-east-1
  streams.dynamodb.us-gov-west-1.amazonaws.com dynamodb/us-gov-west-1
  streams-dynamodb.us-east-1.api.aws dynamodb/us-east-1
  api.ecr-public.us-east-1.amazonaws.com ecr-public/us-east-1
  ecr-public.us-east-1.api.aws ecr-public/us-east-1
  ecr.us-east-1.api.aws ecr/us-east-1
  ecr-fips.us-east-1.api.aws ecr/us-east-1
  dom-123456789012.d.codeartifact.us-east-1.amazonaws.com codeartifact/us-east-1
  email.us-east-1.amazonaws.com ses/us-east-1
  email-fips.us-east-1.amazonaws.com ses/us-east-1
  tagging.us-east-1.amazonaws.com tagging/us-east-1
  monitoring.us-east-1.amazonaws.com monitoring/us-east-1
  logs.us-east-1.amazonaws.com logs/us-east-1
  streaming-logs.us-east-1.amazonaws.com logs/us-east-1
  elasticmapreduce.us-east-1.amazonaws.com elasticmapreduce/us-east-1
  us-east-1.elasticmapreduce.amazonaws.com elasticmapreduce/us-east-1
  states.us-east-1.amazonaws.com states/us-east-1
  sync-states.us-east-1.amazonaws.com states/us-east-1
  queue.amazonaws.com sqs/us-east-1
  sdb.amazonaws.com sdb/us-east-1
  ec2.amazonaws.com ec2/us-east-1
  123456789012.data-kinesis.us-east-1.amazonaws.com kinesis/us-east-1
  123456789012.control-kinesis.us-east-1.amazonaws.com kinesis/us-east-1
  api.iotwireless.us-east-1.amazonaws.com iotwireless/us-east-1
  cognito-identity-fips.us-east-1.amazonaws.com cognito-identity/us-east-1
  qbusiness.us-east-1.api.aws qbusiness/us-east-1
  dsql.us-east-1.api.aws dsql/us-east-1
  abc.dsql.us-east-1.on.aws dsql/us-east-1
  abc.appsync-api.us-east-1.amazonaws.com appsync/us-east-1
  agreement-marketplace.us-east-1.amazonaws.com aws-marketplace/us-east-1
  data.mediastore.us-east-1.amazonaws.com mediastore/us-east-1
  abc.data.mediastore.us-east-1.amazonaws.com mediastore/us-east-1
  session.qldb.us-east-1.amazonaws.com qldb/us-east-1
  runtime-v2-lex-fips.us-east-1.amazonaws.com lex/us-east-1
  db.cluster-x.us-east-1.neptune.amazonaws.com neptune-db/us-east-1
  wisdom.us-east-1.amazonaws.com wisdom/us-east-1
  m2.us-east-1.amazonaws.com m2/us-east-1
  mturk-requester.us-east-1.amazonaws.com mturk-requester/us-east-1
  sts.us-east-1.api.aws sts/us-east-1
  sts.amazonaws.com sts/us-east-1
  iam.global.api.aws iam/us-east-1
  cloudfront.global.api.aws cloudfront/us-east-1
  route53.global.api.aws route53/us-east-1
  route53-fips.amazonaws.com route53/us-east-1
  iam-fips.amazonaws.com iam/us-east-1
  support.cn-north-1.amazonaws.com.cn support/cn-north-1
  s3.dualstack.us-west-2.amazonaws.com s3/us-west-2
  email.us-gov-west-1.amazonaws.com ses/us-gov-west-1
  iam.global.api.aws iam/us-east-1
  mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com s3/*/many
  abc.def.endpoint.events.amazonaws.com events/*/many
  a1b2.credentials.iot.us-east-1.amazonaws.com -
  global.amazonaws.com -
  evil.global.amazonaws.com.example -
  accesspoint.s3-global.amazonaws.com -
  mrap.accesspoint.s3-global.amazonaws.com.example -
  x.y.mrap.accesspoint.s3-global.amazonaws.com -
  123456789012.dkr.ecr.us-east-1.amazonaws.com -
  bkt.s3-website.us-east-1.amazonaws.com -
  ec2-1-2-3-4.us-west-2.compute.amazonaws.com.cn -
`
  .trim()
  .split('\n')
  .map((line) => line.trim().split(' '));

describe('the forms of AWS hosts', () => {
  it.each(FORMS)('%s is %s', (host = '', expected) => {
    const found = awsHostOf(host);
    const place =
      found === null || found.services.length === 0 ? '-' : `${found.services.join('|')}/${found.region ?? '*'}`;
    expect(found?.isMultiRegion === true ? `${place}/many` : place).toBe(expected);
  });

  it('are of the same service for policy, wherever that is certain of it', () => {
    const disagreeing = FORMS.filter(([host = '']) => {
      const signed = awsHostOf(host)?.services ?? [];
      const judged = policyHostOf(host);
      return signed.length > 0 && (judged === null || (judged.isCertain && !signed.includes(judged.service)));
    });
    expect(disagreeing).toEqual([]);
  });
});
