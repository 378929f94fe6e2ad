"""Amazon Web Services: EC2, EKS and SageMaker."""
